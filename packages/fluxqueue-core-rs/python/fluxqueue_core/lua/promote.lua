-- promote: due messages go from the delayed set to their list.
--
-- ARGV 1       limit (1..1000)
--      2       how many of the moved messages are returned, for their traces;
--              may be left out. Larger ones than 4 KiB are not returned.
-- Returns      {moved, ms until the next one is due (a day at most), or -1 where none waits},
--              and with ARGV 2 as a third {message...}
-- Complexity   O(limit log delayed)
local t = now()
local due = redis.call('ZRANGEBYSCORE', DELAYED, '-inf', t, 'LIMIT', 0, ARGV[1])
if #due > 0 then
  -- Without the right to remove it would add the same messages with every call:
  -- so that is asked for before anything is written.
  redis.call('ZREM', DELAYED, 'fluxqueue: no message')
  local going = {[PENDING] = {}, [SUSPECTS] = {}}
  for _, m in ipairs(due) do table.insert(going[home(m)], m) end
  for list, messages in pairs(going) do
    if #messages > 0 then
      redis.call('LPUSH', list, unpack(messages))
      redis.call('ZREM', DELAYED, unpack(messages))
    end
  end
end
local shown = ARGV[2] and {}
for i = 1, math.min(#due, tonumber(ARGV[2] or 0)) do
  if #due[i] <= 4096 then table.insert(shown, due[i]) end
end
local first = redis.call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
if #first == 0 then return {#due, -1, shown} end
return {#due, math.min(math.max(math.ceil(first[2] - t), 0), 86400000), shown}
