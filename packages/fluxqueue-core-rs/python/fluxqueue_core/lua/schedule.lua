-- schedule: adds, changes and removes periodic tasks, and pauses them.
--
-- KEYS         those of the queue's periodic tasks; the caller needs no right to others
-- ARGV 1       'set', by a call; then three values for each: its id, record, message
--              'declare', by a worker; its ARGV 2 is the grace (ms), then the same values
--              'remove', 'pause', 'resume': ids
--              'plan', by a scheduler: ids of those that should have a moment and have none
--              'stop', by a scheduler: id, digest, the time (ms) at which a worker has last
--              declared it, as the caller has read it
-- Returns      for each id one word: 'added', 'changed', 'unchanged'; 'removed', 'absent';
--              'paused', 'resumed', 'planned'; or why nothing was done: 'declared' (code
--              declares this id), 'scheduled' (a call has scheduled it), 'older' (this
--              declaration is one that a newer one has replaced)
-- Complexity   O(ids * log periodic tasks)
--
-- Why: docs/decisions/0143-the-newest-declaration-wins.md

-- For how long a change is listed (ms). A scheduler reads the list several times a second.
local LISTED = 3600000
-- For how long a declaration is remembered that no worker makes any longer (ms): a week.
local FORGOTTEN = 604800000

local t = now()
local op = ARGV[1]

local function change(id)
  redis.call('ZADD', PERIODIC_CHANGED, t, id)
  -- A scheduler has no right to this command.
  if op ~= 'stop' and op ~= 'plan' then redis.call('ZREMRANGEBYSCORE', PERIODIC_CHANGED, '-inf', t - LISTED) end
end

-- The half tells a scheduler that no moment is planned yet: the first one after it is next.
local function plan(id) redis.call('ZADD', PERIODIC_DUE, string.format('%.1f', t + 0.5), id) end

local function seen(id, record) return id .. '\0' .. string.sub(record, 1, 16) end

local function remove(id)
  redis.call('HDEL', PERIODIC, id)
  redis.call('HDEL', PERIODIC_MESSAGES, id)
  redis.call('ZREM', PERIODIC_DUE, id)
  redis.call('HDEL', PERIODIC_RUNS, id)
  change(id)
end

-- The head of a message.
local function head(record, message)
  local opts = string.match(message, '^,"opts":{[^}]*}', 51) or ''
  local is_special = string.find(opts, '[{,]"[plu]":')
  local from, to = string.match(opts, '"x":()"%+%d+"()')
  from, to = from and from + 50 or 0, to and to + 49 or 0
  local kind = string.sub(record, 25, 25)
  return string.format('%s%s%s%04d%04d', string.sub(record, 1, 16), kind, is_special and '1' or '0', from, to)
end

-- Writes a record. A paused task stays paused; one whose times stay keeps its next moment.
local function write(id, record, message, old)
  local paused = old and string.sub(old, 26, 26) or '0'
  redis.call('HSET', PERIODIC_MESSAGES, id, head(record, message) .. message)
  redis.call('HSET', PERIODIC, id, string.sub(record, 1, 25) .. paused .. string.sub(record, 27))
  if paused == '0' and not (old and string.sub(old, 17, 24) == string.sub(record, 17, 24)) then plan(id) end
  change(id)
  return old and 'changed' or 'added'
end

local function is_same(record, old) return string.sub(old, 1, 16) == string.sub(record, 1, 16) end

-- Redis has this record already. A message that was lost is written again.
local function keep(id, record, message, old)
  if redis.call('HGET', PERIODIC_MESSAGES, id) then return 'unchanged' end
  return write(id, record, message, old)
end

local function declare(id, record, message, grace)
  local old = redis.call('HGET', PERIODIC, id)
  if old and string.sub(old, 25, 25) == 's' then return 'scheduled' end
  local before = tonumber(redis.call('ZSCORE', PERIODIC_SEEN, seen(id, record)) or '0')
  redis.call('ZADD', PERIODIC_SEEN, t, seen(id, record))
  if not old then return write(id, record, message) end
  if is_same(record, old) then return keep(id, record, message, old) end
  -- In a rolling deployment workers of both releases declare it. A declaration that was
  -- there before the present one stays replaced for as long as workers declare that.
  local present = tonumber(redis.call('ZSCORE', PERIODIC_SEEN, seen(id, old)) or '0')
  if t - before < grace and t - present < grace then return 'older' end
  return write(id, record, message, old)
end

local reply = {}
if op == 'set' then
  for i = 2, #ARGV, 3 do
    local id, record, message = unpack(ARGV, i, i + 2)
    local old = redis.call('HGET', PERIODIC, id)
    if old and string.sub(old, 25, 25) == 'd' then
      reply[#reply + 1] = 'declared'
    elseif old and is_same(record, old) then
      reply[#reply + 1] = keep(id, record, message, old)
    else
      reply[#reply + 1] = write(id, record, message, old)
    end
  end
elseif op == 'declare' then
  local grace = tonumber(ARGV[2])
  for i = 3, #ARGV, 3 do reply[#reply + 1] = declare(ARGV[i], ARGV[i + 1], ARGV[i + 2], grace) end
  redis.call('ZREMRANGEBYSCORE', PERIODIC_SEEN, '-inf', t - FORGOTTEN)
elseif op == 'stop' then
  local id, digest, last = ARGV[2], ARGV[3], ARGV[4]
  local record = redis.call('HGET', PERIODIC, id)
  local score = redis.call('ZSCORE', PERIODIC_SEEN, id .. '\0' .. digest) or ''
  if not record or string.sub(record, 1, 16) ~= digest or score ~= last then return {'unchanged'} end
  redis.call('ZREM', PERIODIC_SEEN, id .. '\0' .. digest)
  remove(id)
  return {'removed'}
else
  for i = 2, #ARGV do
    local id = ARGV[i]
    local record = redis.call('HGET', PERIODIC, id)
    local word = 'absent'
    if record and op == 'remove' then
      word = 'declared'
      if string.sub(record, 25, 25) == 's' then
        remove(id)
        word = 'removed'
      end
    elseif record and op == 'plan' then
      word = 'unchanged'
      if string.sub(record, 26, 26) ~= '1' and not redis.call('ZSCORE', PERIODIC_DUE, id) then
        plan(id)
        change(id)
        word = 'planned'
      end
    elseif record then
      local paused = op == 'pause' and '1' or '0'
      word = 'unchanged'
      if string.sub(record, 26, 26) ~= paused then
        redis.call('HSET', PERIODIC, id, string.sub(record, 1, 25) .. paused .. string.sub(record, 27))
        if paused == '1' then redis.call('ZREM', PERIODIC_DUE, id) else plan(id) end
        change(id)
        word = paused == '1' and 'paused' or 'resumed'
      end
    end
    reply[#reply + 1] = word
  end
end
return reply
