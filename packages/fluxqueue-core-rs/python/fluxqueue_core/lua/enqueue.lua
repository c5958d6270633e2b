-- enqueue: enqueues calls that are more than a message in a list, such as those with a delay.
--
-- KEYS         pending, delayed; no others, so a client needs no right for other keys
-- ARGV         two values for each call:
--              when it is due: '+<ms>' from now (+0: at once), or ms since 1970
--              the message, which has not failed yet
-- Returns      for each call 1, or the id of the task that is there in its place
-- Complexity   O(calls * log delayed)
local PENDING, DELAYED = KEYS[1], KEYS[2]
local t = now()
local at_once, later, replies = {}, {}, {}
for i = 1, #ARGV, 2 do
  local due = tonumber(ARGV[i])
  if string.sub(ARGV[i], 1, 1) == '+' then due = t + due end
  if due > t then
    later[#later + 1] = {due, ARGV[i + 1], #replies + 1}
  else
    at_once[#at_once + 1] = ARGV[i + 1]
  end
  replies[#replies + 1] = 1
end
-- An error in the middle would keep what was written before it, and the client would
-- report that nothing was enqueued. So this asks for the right and the type of the
-- second key before the first is written; XX adds nothing.
if #later > 0 then redis.call('ZADD', DELAYED, 'XX', 0, '-') end
if #at_once > 0 then redis.call('LPUSH', PENDING, unpack(at_once)) end
for _, call in ipairs(later) do
  local due, message, place = unpack(call)
  if redis.call('ZADD', DELAYED, 'NX', due, message) == 0 then replies[place] = string.sub(message, 14, 49) end
end
return replies
