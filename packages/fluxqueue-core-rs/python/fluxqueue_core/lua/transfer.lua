-- transfer: moves tasks that wait or are dead to another queue on the same server.
--
-- KEYS         the keys of the queue; then `delayed` of the other queue
-- ARGV         five values for each task:
--              its message, 'pending', 'suspects', 'prioritized' or 'delayed', how many elements to
--              look at as in `delete`, '', ''
--              its entry, 'dead', when it died (ms), SHA-1 of its message, the message to enqueue
-- Returns      for each task: 1 if it is moved; 0 if it is no longer there, or not as the caller has
--              read it; -2 if the other queue has the same message; -3 if it was cancelled
-- Complexity   O(tasks * (elements to look at + log delayed))
--
-- A task that waits for a worker becomes due there at once, and the scheduler of that queue brings
-- it to its list: what belongs to the arrival is there. One that is delayed keeps its time.
--
-- Why: docs/decisions/0188-a-moved-task-arrives-through-delayed.md
local TARGET = KEYS[#KEYS]
local t = now()
local replies = {}
any_cancelled = redis.call('EXISTS', CANCELLED) == 1
-- An error halfway would leave a copy in each call; these lines change nothing.
redis.call('ZREM', DEAD, '-')
redis.call('HDEL', DEAD_MESSAGES, '-')
redis.call('HDEL', DEAD_REASONS, '-')
redis.call('ZREM', DELAYED, '-')
redis.call('ZREM', PRIORITIZED, '-')

local function send(message, due, remove)
  if condemning().is_cancelled(message) then return -3 end
  if redis.call('ZADD', TARGET, 'NX', due, message) == 0 then return -2 end
  remove()
  return 1
end

local function send_dead(entry, died, digest, message)
  local score, stored = redis.call('ZSCORE', DEAD, entry), redis.call('HGET', DEAD_MESSAGES, entry)
  if not (score and stored and math.abs(score - died) < 1 and redis.sha1hex(stored) == digest) then return 0 end
  return send(message, t, function()
    redis.call('ZREM', DEAD, entry)
    redis.call('HDEL', DEAD_MESSAGES, entry)
    redis.call('HDEL', DEAD_REASONS, entry)
    dead_groups().leave({entry})
  end)
end

local function send_waiting(message, where, within)
  local remove = removal(message, where, within)
  if not remove then return 0 end
  return send(message, where == 'delayed' and redis.call('ZSCORE', DELAYED, message) or t, remove)
end

for i = 1, #ARGV, 5 do
  local what, where, third, digest, message = unpack(ARGV, i, i + 4)
  if where == 'dead' then
    replies[#replies + 1] = send_dead(what, third, digest, message)
  else
    replies[#replies + 1] = send_waiting(what, where, tonumber(third))
  end
end
-- The head of `pending` may have been one of them.
arrivals().guard()
return replies
