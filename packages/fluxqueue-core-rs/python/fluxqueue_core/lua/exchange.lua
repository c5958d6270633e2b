-- exchange: renews the lease, settles outcomes and claims, in one round trip.
--
-- KEYS         claimed:<c>, inbox:<c>
-- ARGV 1       consumer id
--      2       lease, ms
--      3       how many messages to claim at most (0..1000)
--      4       'suspects' to claim from there, else from pending
--      5       '1' to keep dead tasks
--      6       ms for which a message of a newer version is put off before it is parked
--      7       k, the number of tasks that succeeded (0..1000)
--      8...    their k fields, then four values for each other outcome:
--              field, 'done', '', ''
--              field, 'retry',   the new message, delay in ms
--              field, 'later',   the new message, delay in ms (no failure is counted)
--              field, 'dead',    the reason as JSON, '1' to keep it whatever ARGV 5 says
--              field, 'release', '', ''
-- Returns      {0} where the consumer is not alive: the lease is lost, nothing was done
--              {1, now, paused, suspects waiting, ms since the last sweep or -1,
--               outcomes of messages that it did not hold, {entries parked}, {messages claimed},
--               1 where more wait, that would have been too many bytes at once,
--               messages of newer versions that were put off}
-- Complexity   O(outcomes + claimed)
local id, lease, limit, grace = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local t = now()
if tonumber(redis.call('ZSCORE', CONSUMERS, id) or '0') <= 0 then return {0} end
redis.call('ZADD', CONSUMERS, 'XX', t + lease, id)

adopt(t, grace)
local gone = settle(t, 7, ARGV[5] == '1')
local paused, suspects = redis.call('EXISTS', PAUSED), redis.call('LLEN', SUSPECTS)
local claimed, more = {}, false
if limit > 0 and paused == 0 then
  claimed, more = claim(t, ARGV[4] == 'suspects' and SUSPECTS or PENDING, limit, grace)
end

local last = redis.call('HGET', SWEEP, 'last')
local age = last and t - (tonumber(last) or 0) or -1
return {1, t, paused, suspects, age, gone, parked, claimed, more and 1 or 0, put_off}
