-- stale: forgets the cancels of tasks that the queue does not have.
--
-- Needs keys, message, limit. The keys of consumers are their starts.
--
-- The member `strikes` is not a task: it says that the queue has strikes.
--
-- `cancel` keeps one if the queue is too long to look through, even if the task has ended. It would
-- end a later call with the same id.
--
-- Why: docs/decisions/0171-a-scheduler-forgets-stale-cancels.md

-- How many messages and consumers to look at, how many bytes, and how many cancels, of which each
-- message has one at most.
local MOST_LOOKED, MOST_LOOKED_BYTES, MOST_CANCELS = 2000, 4194304, 4000
local LOOKED_STEP = 100

-- Adds the ids of all tasks of the queue to `there`. Returns false if they are too many.
local function find_tasks(there)
  local consumers = redis.call('ZRANGE', CONSUMERS, 0, MOST_LOOKED)
  local lists = limits().lines(MOST_LOOKED) -- one for each key of a limit
  if not lists then return false end
  local count, bytes, lengths = #consumers + #lists, 0, {}
  lists[#lists + 1], lists[#lists + 2] = PENDING, SUSPECTS
  for i, list in ipairs(lists) do
    lengths[i] = redis.call('LLEN', list)
    count = count + lengths[i]
  end
  local sets = {{DELAYED, redis.call('ZCARD', DELAYED)}, {PRIORITIZED, redis.call('ZCARD', PRIORITIZED)}}
  count = count + sets[1][2] + sets[2][2]
  if count > MOST_LOOKED then return false end

  local function add(messages)
    for _, message in ipairs(messages) do
      there[sub(message, 14, 49)] = true
      bytes = bytes + #message
    end
    return bytes <= MOST_LOOKED_BYTES
  end
  for i, list in ipairs(lists) do
    for from = 0, lengths[i] - 1, LOOKED_STEP do
      if not add(redis.call('LRANGE', list, from, from + LOOKED_STEP - 1)) then return false end
    end
  end
  for _, set in ipairs(sets) do
    for from = 0, set[2] - 1, LOOKED_STEP do
      if not add(redis.call('ZRANGE', set[1], from, from + LOOKED_STEP - 1)) then return false end
    end
  end
  for _, consumer in ipairs(consumers) do
    local held = redis.call('HKEYS', OWN_CLAIMED .. consumer)
    for _, f in ipairs(held) do there[sub(f, 1, 36)] = true end
    count = count + #held
    if count > MOST_LOOKED or not add(redis.call('LRANGE', OWN_INBOX .. consumer, 0, -1)) then return false end
  end
  return true
end

local function forget_stale()
  if redis.call('EXISTS', CANCELLED) == 0 then return end
  local there, gone = {}, {}
  if not find_tasks(there) then return end
  for _, id in ipairs(redis.call('ZRANGE', CANCELLED, 0, MOST_CANCELS - 1)) do
    if not there[id] and id ~= 'strikes' then gone[#gone + 1] = id end
  end
  if #gone > 0 then redis.call('ZREM', CANCELLED, unpack(gone)) end
end

