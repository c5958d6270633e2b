-- result: keeps the outcome of a task, and tells those who wait for it.
--
-- Needs keys, message, prefix. An effect is {key of the result, outcome as JSON, ms to keep it, whether its
-- channel is sharded}. The caller makes it, and names the key in KEYS.
--
-- Why: docs/decisions/0106-results-are-effects.md
-- Why: docs/decisions/0210-an-index-of-kept-outcomes.md

-- A longer outcome is not in the message to those who wait: they read the key.
local MOST_TOLD = 4096
-- Entries of the index of kept outcomes.
local MOST_FINISHED = 10000

-- The effects of this call, to be told when all is written.
local kept = {}
local keepable = false

-- The channel of a result's key: `...:done:<id>` of `...:result:<id>`.
local function channel(key)
  return (string.gsub(key, ':result:([^:]*)$', ':done:%1'))
end

-- Fails if Redis would refuse to keep or to tell. Call this before the first write of an
-- end: an error after it would repeat that write with each call.
local function check_keep(effects)
  if keepable then return end
  local effect = effects[1]
  -- XX writes nothing, because there is no such key. No client listens to this channel.
  if redis.call('EXISTS', effect[1]) == 0 then redis.call('SET', effect[1], '', 'XX') end
  local name = string.gsub(channel(effect[1]), '[^:]*$', '')
  if effect[4] then redis.call('SPUBLISH', name, '') else redis.call('PUBLISH', name, '') end
  keepable = true
end

-- Keeps what the effects say. If a task has ended at the moment `t`, its message is given, and the
-- index gets its id and its name, until the outcome ends. No task depends on the index: if a command
-- is not allowed, or the key has another type, it stays as it is.
local function keep(effects, t, message)
  for _, effect in ipairs(effects) do
    redis.call('SET', effect[1], effect[2], 'PX', effect[3])
    kept[#kept + 1] = effect
    if message then
      local FINISHED = prefix() .. 'finished'
      local _, stop = find(message, ',"name":"', 51, true)
      local name = stop and string.match(message, '^[^"\\]*', stop + 1) or ''
      -- An index that can't be bounded gets nothing.
      if
        type(redis.pcall('ZREMRANGEBYSCORE', FINISHED, '-inf', t)) == 'number'
        and type(redis.pcall('ZREMRANGEBYRANK', FINISHED, 0, -MOST_FINISHED)) == 'number'
      then
        redis.pcall('ZADD', FINISHED, t + effect[3], sub(message, 14, 49) .. ' ' .. name)
        local last = redis.pcall('ZRANGE', FINISHED, -1, -1, 'WITHSCORES')[2]
        if last then redis.pcall('PEXPIRE', FINISHED, last - t) end
      end
    end
  end
end

-- Tells what this call has kept. Call this when everything is written.
local function tell_kept()
  for _, effect in ipairs(kept) do
    local text = #effect[2] <= MOST_TOLD and effect[2] or ''
    local name = channel(effect[1])
    if effect[4] then redis.pcall('SPUBLISH', name, text) else redis.pcall('PUBLISH', name, text) end
  end
end

