-- sweep: which consumers are late? Records that somebody looked.
--
-- ARGV 1       gap, ms: the longest time between two sweeps that counts as continuous
--      2       lease, ms: how long nobody is rescued after a gap
--      3       limit of late consumers returned
-- Returns      {now, ms for which nobody is rescued yet, {late consumer...}, {tombstone...}}
-- Complexity   O(log consumers + returned); O(consumers) where time ran backwards
--
-- After a gap (no scheduler ran, Redis was away or its clock jumped) healthy
-- workers may have been unable to renew. They get a whole lease to do so, and
-- the grace is kept in Redis, so that a new scheduler or a failover knows it.
local t = now()
local last = tonumber(redis.call('HGET', SWEEP, 'last') or '0')
local quiet = tonumber(redis.call('HGET', SWEEP, 'quiet') or '0')
if t - last > tonumber(ARGV[1]) or t < last then
  quiet = t + tonumber(ARGV[2])
  redis.call('HSET', SWEEP, 'quiet', quiet)
end
if t < last then
  -- By the clock as it is now their leases end too late: the dead ones would
  -- wait as long as the clock was ahead.
  local ends = t + tonumber(ARGV[2])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', CONSUMERS, '(' .. string.format('%d', ends), '+inf')) do
    redis.call('ZADD', CONSUMERS, ends, id)
  end
end
redis.call('HSET', SWEEP, 'last', t)
local late = {}
if t >= quiet then late = redis.call('ZRANGEBYSCORE', CONSUMERS, 1, t, 'LIMIT', 0, ARGV[3]) end
return {t, math.max(quiet - t, 0), late, redis.call('ZRANGEBYSCORE', CONSUMERS, '-inf', -1)}
