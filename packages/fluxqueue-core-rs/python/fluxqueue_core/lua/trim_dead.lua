-- trim_dead: keeps the dead set within its bounds; the oldest entries go first. Forgets the cancels
-- of tasks that the queue does not have.
--
-- KEYS         the starts of claimed:<c> and inbox:<c>
-- ARGV 1       the most entries to keep
--      2       the most ms to keep an entry
--      3       limit of entries removed in this call (1..1000)
-- Returns      how many entries it removed
-- Complexity   O(limit log dead); while tasks are cancelled, also O(messages), 2,000 at most
local over = redis.call('ZCARD', DEAD) - tonumber(ARGV[1])
local limit = tonumber(ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', DEAD, '-inf', now() - tonumber(ARGV[2]), 'LIMIT', 0, limit)
if over > #gone then gone = redis.call('ZRANGE', DEAD, 0, math.min(over, limit) - 1) end
if #gone > 0 then
  redis.call('ZREM', DEAD, unpack(gone))
  redis.call('HDEL', DEAD_MESSAGES, unpack(gone))
  redis.call('HDEL', DEAD_REASONS, unpack(gone))
  dead_groups().leave(gone)
end
forget_stale()
return #gone
