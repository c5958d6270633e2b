-- bury: turns a late consumer into a tombstone and returns its messages to be raised.
--
-- KEYS         claimed:<c>, inbox:<c>, workers
-- ARGV 1       consumer id
--      2       gap, ms, as in sweep
--      3       limit of messages returned (a small hash is returned whole)
-- Returns      {field, message, ...}; empty if the consumer is not late after all, or if
--              no message is left. Call again until it is empty.
-- Complexity   O(inbox + limit); O(former size of the hash) if it has shrunk
--
-- If the id is a tombstone already, the script continues where another scheduler stopped.
local id = ARGV[1]
local t = now()
local ends = tonumber(redis.call('ZSCORE', CONSUMERS, id) or '0')
if ends > 0 then
  local last = (tonumber(redis.call('HGET', SWEEP, 'last') or '0') or 0)
  local quiet = (tonumber(redis.call('HGET', SWEEP, 'quiet') or '0') or 0)
  -- Rule 8: only while sweeps come in time.
  if ends > t or t - last > tonumber(ARGV[2]) or t < last or t < quiet then return {} end
  redis.call('ZADD', CONSUMERS, -t, id)
  -- These only inform: an error must not stop a rescue.
  redis.pcall('HDEL', WORKERS, id)
  redis.pcall('HINCRBY', SWEEP, 'lost', 1)
  adopt(t)
  if limits_made then
    limits_made.admit_touched(t)
    arrivals().guard_front()
  end
end
-- A hash that has shrunk has empty stretches, in which HSCAN finds no field.
local cursor, found = '0', {}
repeat
  local scanned = redis.call('HSCAN', OWN_CLAIMED, cursor, 'COUNT', ARGV[3])
  cursor, found = scanned[1], scanned[2]
until #found > 0 or cursor == '0'
return found
