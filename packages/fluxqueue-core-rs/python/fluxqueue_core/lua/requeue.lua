-- requeue: enqueues dead tasks again, and delayed ones before they are due.
--
-- KEYS         the keys of the queue; then those of results, result:<id>
-- ARGV         five values for each task. Of a dead one:
--              its entry, when it died (ms), SHA-1 of its message, the message to enqueue,
--              position in KEYS of the result that its end has left ('' for none)
--              Of a delayed one: '', '', '', its message, ''
-- Returns      for each task: 1 if it is enqueued; 0 if it is no longer there, or not as the
--              caller has read it; -1 if its expiry has passed; or the id of another task that
--              has its lock
-- Complexity   O(tasks * log (dead + delayed))
--
-- A task is enqueued only while the dead set has the death that the caller has read. So a call that
-- is repeated does nothing the second time, and of two operators one requeues the task.
--
-- Why: docs/decisions/0165-a-dead-task-begins-again.md
local t = now()
local replies, requeued = {}, 0
any_cancelled = redis.call('EXISTS', CANCELLED) == 1
-- An error halfway would leave a copy in each call. So these lines check the types of all keys,
-- and the rights to remove, before the first write. They remove nothing.
check_park()
redis.call('ZREM', DEAD, '-')
redis.call('HDEL', DEAD_MESSAGES, '-')
redis.call('HDEL', DEAD_REASONS, '-')
redis.call('ZREM', DELAYED, '-')

-- They go behind what waits already, as if they had become due.
local function enqueue(message)
  local list = home(message)
  if limits_of(message) or list == PENDING and arrivals().priority(message) then
    arrive(message, false)
  else
    redis.call('LPUSH', list, message)
  end
end

local function is_as_read(entry, died, digest)
  local score, message = redis.call('ZSCORE', DEAD, entry), redis.call('HGET', DEAD_MESSAGES, entry)
  return score and message and math.abs(score - died) < 1 and redis.sha1hex(message) == digest
end

local function requeue(entry, died, digest, message, result)
  if not is_as_read(entry, died, digest) then return 0 end
  if condemning().expired(t, message) ~= message then return -1 end
  local holder = locks().other_holder(message)
  if holder then return holder end
  enqueue(message)
  locks().renew(t, message, 0, true)
  redis.call('ZREM', DEAD, entry)
  redis.call('HDEL', DEAD_MESSAGES, entry)
  redis.call('HDEL', DEAD_REASONS, entry)
  dead_groups().leave({entry})
  -- A cancel of the task that had died, and the outcome that it had, are not those of this run.
  if any_cancelled then condemning().forget({entry}, 1, 1) end
  if result ~= '' then redis.pcall('DEL', KEYS[tonumber(result)]) end
  requeued = requeued + 1
  return 1
end

local function hasten(message)
  if not redis.call('ZSCORE', DELAYED, message) then return 0 end
  enqueue(condemning().cancelled(condemning().expired(t, message)))
  redis.call('ZREM', DELAYED, message)
  return 1
end

for i = 1, #ARGV, 5 do
  local entry, died, digest, message, result = unpack(ARGV, i, i + 4)
  replies[#replies + 1] = entry == '' and hasten(message) or requeue(entry, died, digest, message, result)
end
if limits_made then limits_made.admit_touched(t) end
arrivals().guard()
if requeued > 0 then redis.call('HINCRBY', STATS, 'requeued', requeued) end
return replies
