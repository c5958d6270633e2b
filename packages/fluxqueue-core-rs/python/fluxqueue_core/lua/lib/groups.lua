-- groups: the index of the dead set by what went wrong: the task's name, the reason, the class of the
-- exception and the place in the code.
--
-- Needs keys, message, prefix.
--
-- Only operators need it, so `group_dead` adds entries when one looks. It only informs: an error at its
-- keys must not keep a task in the dead set. So what removes entries makes pcalls.
--
-- Why: docs/decisions/0185-the-dead-set-has-an-index-of-groups.md

local dead_groups_made

-- Returns the functions below. A call makes them when it needs the first of them.
local function dead_groups()
  if dead_groups_made then return dead_groups_made end
  local self, before = {}, prefix() .. 'dead:group'
  local texts, groups_of = before .. 's', before .. 'ed'
  self.groups_of = groups_of

  -- The text that the dead tasks of one group have in common. Rust writes class and place without quotes
  -- and backslashes, right behind the reason, so no script decodes JSON.
  local function text_of(message, reason)
    local f, options = field(message)
    local name = ''
    if f then
      name = string.match(message, '^,"name":"([^"\\]*)', 14 + #f + (options and 8 + #options or 0)) or ''
    end
    local why = string.match(reason, '^{"reason":"([^"\\]*)"') or ''
    local class, place = string.match(reason, '^{"reason":"[^"\\]*","class":"([^"\\]*)","place":"([^"\\]*)"')
    return sub(name, 1, 200) .. '\n' .. why .. '\n' .. (class or '') .. '\n' .. (place or '')
  end

  -- Adds an entry of the dead set, with its message and its reason (JSON), to its group.
  function self.join(died, entry, message, reason)
    local text = text_of(message, reason)
    local digest = sub(redis.sha1hex(text), 1, 16)
    redis.call('HSET', texts, digest, text)
    redis.call('ZADD', before .. ':' .. digest, died, entry)
    redis.call('HSET', groups_of, entry, digest)
  end

  -- Removes entries that leave the dead set. A group without an entry leaves nothing.
  function self.leave(entries)
    local digests = redis.pcall('HMGET', groups_of, unpack(entries))
    if digests.err then return end
    local shrunk = {}
    for i = 1, #entries do
      if digests[i] then
        redis.pcall('ZREM', before .. ':' .. digests[i], entries[i])
        shrunk[digests[i]] = true
      end
    end
    redis.pcall('HDEL', groups_of, unpack(entries))
    for digest in pairs(shrunk) do
      if redis.pcall('EXISTS', before .. ':' .. digest) == 0 then redis.pcall('HDEL', texts, digest) end
    end
  end

  dead_groups_made = self
  return self
end

