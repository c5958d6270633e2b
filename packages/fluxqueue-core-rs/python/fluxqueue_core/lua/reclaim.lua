-- reclaim: returns messages that a BLMOVE put into a tombstone's inbox. It raises no count.
--
-- KEYS         claimed:<c>, inbox:<c>, workers
-- ARGV 1       consumer id
--      2       ms after which an empty tombstone is forgotten
-- Returns      how many messages it returned (at most 100 a call); -1 if the consumer is
--              alive
-- Complexity   O(100)
local id = ARGV[1]
local ends = tonumber(redis.call('ZSCORE', CONSUMERS, id) or '0')
if ends > 0 then return -1 end
local moved = 0
any_cancelled = redis.call('EXISTS', CANCELLED) == 1
while moved < 100 do
  -- The newest goes first, so that the oldest is the next to be claimed.
  local message = redis.call('LINDEX', OWN_INBOX, 0)
  if not message then break end
  moved = moved + 1
  local limited = limits_of(message)
  if limited or arrivals().priority(message) or any_cancelled and condemning().is_cancelled(message) then
    if limited then limited.leave(message, (field(message))) end
    arrive(condemning().cancelled(message), true)
    redis.call('LPOP', OWN_INBOX)
  else
    local list = home(message)
    if list == PENDING then arrivals().return_head() end
    redis.call('LMOVE', OWN_INBOX, list, 'LEFT', 'RIGHT')
  end
end
if moved == 0 and ends < 0 and now() + ends > tonumber(ARGV[2])
  and redis.call('EXISTS', OWN_CLAIMED, OWN_INBOX) == 0 then
  redis.call('ZREM', CONSUMERS, id)
  redis.pcall('HDEL', WORKERS, id) -- bury of an earlier version did not
end
if limits_made then limits_made.admit_touched(now()) end
arrivals().guard_front()
return moved
