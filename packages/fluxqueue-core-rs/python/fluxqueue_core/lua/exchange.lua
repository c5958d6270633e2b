-- exchange: renews the lease, settles outcomes and claims, in one round trip.
--
-- KEYS         claimed:<c>, inbox:<c>; then those of effects, result:<id>
-- ARGV 1       consumer id
--      2       lease, ms
--      3       limit of messages to claim (0..1000)
--      4       'suspects' to claim from the suspects; any other value: from pending
--      5       '1' to keep dead tasks
--      6       ms for which a message of a newer version is deferred before it is parked
--      7       k, the number of tasks that succeeded (0..1000)
--      8...    their k fields, then four values for each other outcome:
--              field, 'done',    '', '' (a success of a message with options)
--              field, 'expired' or 'cancelled', '', '' (it has not begun)
--              field, 'retry',   the new message, delay in ms
--              field, 'later',   the new message, delay in ms (counts no failure)
--              field, 'dead',    the reason as JSON, '1' to keep it regardless of ARGV 5
--              field, 'release', the new message or '' (as it is), ''
--              field, 'note',    the message with its checkpoint or '' (as it is), '' (it runs on;
--                                an effect is a report of its progress)
--              An effect of an outcome is four values before it:
--              position of a key in KEYS, 'keep', an outcome as JSON, ms to keep it
--              ('keep_sharded' if its channel is sharded), or
--              key of a list, 'push', a message, '' (one at most)
--              Once in a while the last four values ask whether a reader watches the queue:
--              position in KEYS of watched, stats:slot:<start>, stats:slot:total, report:<c>;
--              'watch', counts as '<field>\n<number>\n'... or '', a report or ''
-- Returns      {0} if the consumer is not alive: the lease is lost, the script did nothing
--              {1, now, {messages claimed}, name, value, ...}; the reply has a name only
--              if there is news:
--              'parked'    entries of messages that the script parked itself
--              'put_off'   how many messages of newer versions were deferred
--              'paused'    1: the queue is paused
--              'suspects'  how many suspects wait
--              'more'      1: the claim stopped at the limit of bytes
--              'cancelled' ids of cancelled tasks that the consumer holds
--              'strikes'   the records of all strikes, if there are any
--              'unswept'   ms since the last sweep if more than 5000; negative if no
--                          sweep is known
--              'watched'   1: a reader watches the queue (only if ARGV asks)
-- Complexity   O(outcomes + claimed)

-- A live scheduler sweeps more often than this (ms).
local UNSWEPT = 5000

local id, lease, limit, grace = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local t = now()
-- Rule 4: a tombstone settles and claims nothing.
if tonumber(redis.call('ZSCORE', CONSUMERS, id) or '0') <= 0 then return {0} end
redis.call('ZADD', CONSUMERS, 'XX', t + lease, id)

-- One command asks for all keys that are seldom there.
local watch = ARGV[#ARGV - 2] == 'watch' and tonumber(ARGV[#ARGV - 3])
local seldom = watch and redis.call('EXISTS', PAUSED, PRIORITIZED, CANCELLED, KEYS[watch])
  or redis.call('EXISTS', PAUSED, PRIORITIZED, CANCELLED)
local paused = seldom > 0 and redis.call('EXISTS', PAUSED) or 0
any_cancelled = seldom > paused and redis.call('EXISTS', CANCELLED) == 1
adopt(t, grace)
settle(t, 7, ARGV[5] == '1', watch and #ARGV - 4 or #ARGV)
if limits_made then limits_made.admit_touched(t) end
local ranked = arrivals_made and arrivals_made.has_ranked or seldom > 0 and redis.call('EXISTS', PRIORITIZED) == 1
local suspects = redis.call('LLEN', SUSPECTS)
local claimed, more = {}, false
if limit > 0 and paused == 0 then
  local source = ARGV[4] == 'suspects' and SUSPECTS or PENDING
  claimed, more = claim(t, source, limit, grace, ranked and source == PENDING and arrivals())
end
if limits_made then
  -- The claimed messages have paid, so others of their keys may be admitted.
  if arrivals_made then arrivals_made.claimed() end
  limits_made.admit_touched(t)
  ranked = ranked or arrivals_made and arrivals_made.has_ranked
end
if ranked then arrivals().guard() end
local last = redis.call('HGET', SWEEP, 'last')
local age = last and t - (tonumber(last) or 0) or -1

local reply = {1, t, claimed}
local function tell(name, value) reply[#reply + 1], reply[#reply + 2] = name, value end
if #parked > 0 then tell('parked', parked) end
if put_off > 0 then tell('put_off', put_off) end
if paused == 1 then tell('paused', 1) end
if suspects > 0 then tell('suspects', suspects) end
if more then tell('more', 1) end
if any_cancelled then
  local ids, found = redis.call('HKEYS', OWN_CLAIMED), {}
  for i = 1, #ids do ids[i] = sub(ids[i], 1, 36) end
  for from = 1, #ids, 1000 do
    local scores = redis.call('ZMSCORE', CANCELLED, unpack(ids, from, math.min(from + 999, #ids)))
    for i = 1, #scores do
      if scores[i] then found[#found + 1] = ids[from + i - 1] end
    end
  end
  tell('cancelled', found)
  if redis.call('ZSCORE', CANCELLED, 'strikes') then
    -- Garbage at this key must not stop the queue.
    local strikes = redis.pcall('HVALS', prefix() .. 'strikes')
    if #strikes > 0 then tell('strikes', strikes) end
  end
end
if age < 0 or age > UNSWEPT then tell('unswept', age) end
if watch and seldom > 0 and keep_counts(t, watch) then tell('watched', 1) end
if #kept > 0 then tell_kept() end
return reply
