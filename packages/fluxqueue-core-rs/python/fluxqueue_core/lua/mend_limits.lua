-- mend_limits: frees places that no message has any more, and admits the next messages of their keys.
--
-- ARGV 1       ms after which a place is looked at
--      2...    the digests to look at (100 at most)
-- Returns      how many places it freed
-- Complexity   O(digests); for each digest with an old place also O(consumers + messages looked at)
--
-- No way out of a queue leaves a place behind. A write that Redis lost, a list deleted by hand,
-- or a worker of a release without limits can.
local t = now()
local before = prefix()
-- The messages of a list that are looked through.
local MOST_LOOKED = 1000
local age, freed = tonumber(ARGV[1]), 0

local consumers
-- Whether a worker holds the field.
local function is_held(f)
  consumers = consumers or redis.call('ZRANGE', CONSUMERS, 0, -1)
  for i = 1, #consumers do
    if redis.call('HEXISTS', before .. 'claimed:' .. consumers[i], f) == 1 then return true end
  end
  return false
end

local waiting, is_all
-- Whether a message with the field may wait for a worker.
local function waits(f)
  if not waiting then
    waiting, is_all = {}, true
    local function note(messages)
      if #messages > MOST_LOOKED then is_all = false end
      for i = 1, #messages do waiting[field(messages[i]) or ''] = true end
    end
    note(redis.call('LRANGE', PENDING, 0, MOST_LOOKED))
    note(redis.call('LRANGE', SUSPECTS, 0, MOST_LOOKED))
    note(redis.call('ZRANGE', PRIORITIZED, 0, MOST_LOOKED))
    consumers = consumers or redis.call('ZRANGE', CONSUMERS, 0, -1)
    for i = 1, #consumers do note(redis.call('LRANGE', before .. 'inbox:' .. consumers[i], 0, MOST_LOOKED)) end
  end
  return not is_all or waiting[f]
end

for i = 2, #ARGV do
  local places = before .. 'limit:places:' .. ARGV[i]
  -- Negative: it was admitted, and not handed out since.
  for _, range in ipairs({{'-inf', -1, true}, {0, t - age, false}}) do
    local found = redis.call('ZRANGEBYSCORE', places, range[1], range[2], 'WITHSCORES', 'LIMIT', 0, 100)
    for j = 1, #found, 2 do
      local f = found[j]
      local is_old = math.abs(found[j + 1]) <= t - age
      if is_old and not is_held(f) and not (range[3] and waits(f)) then
        freed = freed + redis.call('ZREM', places, f)
      end
    end
  end
  limits().touch(ARGV[i])
end
if limits_made then limits_made.admit_touched(t) end
arrivals().guard_front()
return freed
