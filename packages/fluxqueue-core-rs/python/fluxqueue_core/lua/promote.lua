-- promote: due messages go from the delayed set to their list.
--
-- ARGV 1       limit (1..1000)
-- Returns      {moved, ms until the next one is due, or -1 where none waits}
-- Complexity   O(limit log delayed)
local t = now()
local due = redis.call('ZRANGEBYSCORE', DELAYED, '-inf', t, 'LIMIT', 0, ARGV[1])
if #due > 0 then
  redis.call('ZREM', DELAYED, unpack(due))
  local pending = {}
  for _, m in ipairs(due) do
    if home(m) == PENDING then pending[#pending + 1] = m else redis.call('LPUSH', SUSPECTS, m) end
  end
  if #pending > 0 then redis.call('LPUSH', PENDING, unpack(pending)) end
end
local first = redis.call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
if #first == 0 then return {#due, -1} end
return {#due, math.max(math.ceil(first[2] - t), 0)}
