-- enqueue: enqueues calls that need more than a push to a list, such as calls with a delay.
--
-- KEYS         pending, delayed; a client needs no right to any other key
-- ARGV         two values for each call:
--              when it is due: '+<ms>' from now (+0: at once), or ms since 1970
--              the message, of a task that has not failed yet; `"x":"+<ms>"` in its
--              options becomes the moment that is this far from now
-- Returns      for each call: 1, or the id of the task that is in the queue in its place
-- Complexity   O(calls * log delayed)
local PENDING, DELAYED = KEYS[1], KEYS[2]
local t = now()
local at_once, later, replies = {}, {}, {}
for i = 1, #ARGV, 2 do
  local due, message = tonumber(ARGV[i]), begin_expiry(t, ARGV[i + 1])
  if string.sub(ARGV[i], 1, 1) == '+' then due = t + due end
  if due > t then
    later[#later + 1] = {due, message, #replies + 1}
  else
    at_once[#at_once + 1] = message
  end
  replies[#replies + 1] = 1
end
-- If a command failed halfway, Redis would keep the earlier writes, but the client would
-- report that it enqueued nothing. So this line checks the right to the second key, and
-- its type, before the script writes the first one. XX adds nothing.
if #later > 0 then redis.call('ZADD', DELAYED, 'XX', 0, '-') end
if #at_once > 0 then redis.call('LPUSH', PENDING, unpack(at_once)) end
for _, call in ipairs(later) do
  local due, message, place = unpack(call)
  if redis.call('ZADD', DELAYED, 'NX', due, message) == 0 then replies[place] = string.sub(message, 14, 49) end
end
return replies
