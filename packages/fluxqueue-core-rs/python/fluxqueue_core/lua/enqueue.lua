-- enqueue: enqueues calls that need more than a push to a list, such as calls with a delay.
--
-- KEYS         pending, delayed, and prioritized if each call has a priority; a client
--              needs no right to any other key
-- ARGV         two values for each call:
--              when it is due: '+<ms>' from now (+0: at once), or ms since 1970
--              the message, of a task that has not failed yet; `"x":"+<ms>"` in its
--              options becomes the moment that is this far from now
-- Returns      for each call: 1, or the id of the task that is in the queue in its place; if
--              there is one call, that alone or in a table
-- Complexity   O(calls * log delayed)
local t = now()
local at_once, ranked, later, replies = {}, {}, {}, {}
for i = 1, #ARGV, 2 do
  local due, message = tonumber(ARGV[i]), begin_expiry(t, ARGV[i + 1])
  if string.sub(ARGV[i], 1, 1) == '+' then due = t + due end
  if due > t then
    later[#later + 1] = {due, message, #replies + 1}
  elseif PRIORITIZED and arrivals().priority(message) then
    ranked[#ranked + 1] = message
  else
    at_once[#at_once + 1] = message
  end
  replies[#replies + 1] = 1
end
-- If a command failed halfway, Redis would keep the earlier writes, but the client would
-- report that it enqueued nothing. So these lines check the rights to the other keys, and
-- their types, before the script writes the first one. XX adds nothing.
if #later > 0 and #later < #replies then redis.call('ZADD', DELAYED, 'XX', 0, '-') end
if #ranked > 0 and #replies > 1 then arrivals().expect(ranked) end
if #at_once > 0 then redis.call('LPUSH', PENDING, unpack(at_once)) end
if #ranked > 0 then
  -- The best goes first: it may be the one that wakes a worker.
  local best = 1
  for i = 2, #ranked do
    if arrivals().priority(ranked[i]) > arrivals().priority(ranked[best]) then best = i end
  end
  table.insert(ranked, 1, table.remove(ranked, best))
  for i = 1, #ranked do arrivals().arrive(ranked[i], false) end
end
for _, call in ipairs(later) do
  local due, message, position = unpack(call)
  if redis.call('ZADD', DELAYED, 'NX', due, message) == 0 then replies[position] = string.sub(message, 14, 49) end
end
return replies
