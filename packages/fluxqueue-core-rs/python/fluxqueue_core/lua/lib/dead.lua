-- dead: keeps messages that can't run, each with its reason.
--
-- Needs keys.
--
-- Why: docs/decisions/0001-dead-set-in-three-keys.md
-- Why: docs/decisions/0002-malformed-messages-are-parked-by-the-script.md

-- The entries of messages that this call has parked without being asked to.
local parked = {}
local parkable = false

local DUPLICATE = '{"reason":"duplicate","error":"the same attempt of a task with this id is in the queue already"}'

-- Fails if a message can't be parked. It is checked once per call, before the first write.
-- Otherwise each call could write half an entry.
local function check_park()
  if parkable then return end
  for key, kind in pairs({[DEAD] = 'zset', [DEAD_MESSAGES] = 'hash', [DEAD_REASONS] = 'hash', [STATS] = 'hash'}) do
    local found = redis.call('TYPE', key)['ok']
    if found ~= 'none' and found ~= kind then error('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind) end
  end
  redis.call('HINCRBY', STATS, 'dead', 0) -- fails unless it is a number
  parkable = true
end

-- Parks a message with its reason (JSON) and returns its entry. It overwrites nothing:
-- if the entry exists, the new one gets a number as a suffix.
local function park(t, entry, message, reason)
  check_park()
  local name = entry
  while redis.call('HEXISTS', DEAD_MESSAGES, entry) == 1 do
    entry = name .. '#' .. redis.call('HINCRBY', STATS, 'parked_twice', 1)
  end
  redis.call('ZADD', DEAD, t, entry)
  redis.call('HSET', DEAD_MESSAGES, entry, message)
  redis.call('HSET', DEAD_REASONS, entry, reason)
  redis.call('HINCRBY', STATS, 'dead', 1)
  return entry
end

