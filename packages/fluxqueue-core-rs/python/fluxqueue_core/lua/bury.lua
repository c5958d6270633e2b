-- bury: turns a late consumer into a tombstone and returns its messages to be raised.
--
-- KEYS         claimed:<c>, inbox:<c>, workers
-- ARGV 1       consumer id
--      2       gap, ms, as in sweep
--      3       limit of messages returned (a small hash is returned whole)
--      4       cursor: '0', or that of the last reply, to go on from there
-- Returns      {cursor, field, message, ...}; the cursor is '0' at the end of the hash. Without
--              a message the consumer is not late after all, or none is left from the cursor
--              on. Call until a pass from '0' to the end of the hash has no message.
-- Complexity   O(inbox + limit); O(former size of the hash) for all calls of a pass together
--
-- If the id is a tombstone already, the script continues where another scheduler stopped.
local id = ARGV[1]
local t = now()
local ends = tonumber(redis.call('ZSCORE', CONSUMERS, id) or '0')
if ends > 0 then
  local last = (tonumber(redis.call('HGET', SWEEP, 'last') or '0') or 0)
  local quiet = (tonumber(redis.call('HGET', SWEEP, 'quiet') or '0') or 0)
  -- Rule 8: only while sweeps come in time.
  if ends > t or t - last > tonumber(ARGV[2]) or t < last or t < quiet then return {'0'} end
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
local cursor, found = ARGV[4], {}
repeat
  local scanned = redis.call('HSCAN', OWN_CLAIMED, cursor, 'COUNT', ARGV[3])
  cursor, found = scanned[1], scanned[2]
until #found > 0 or cursor == '0'
table.insert(found, 1, cursor)
return found
