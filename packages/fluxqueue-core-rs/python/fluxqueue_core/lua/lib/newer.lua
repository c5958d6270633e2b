-- newer: defers messages of newer versions, for workers that know them.
--
-- Needs keys, dead, finish.
--
-- Why: docs/decisions/0026-messages-of-newer-versions.md

-- How many messages this call has deferred.
local put_off = 0

-- Defers a message unchanged: in a rolling upgrade other workers know its version. Parks
-- it after `grace` ms (nil: never).
local function leave_for_newer(t, message, version, grace)
  local digest = redis.sha1hex(message)
  redis.call('ZADD', NEWER, 'NX', t, digest)
  local passed = t - (tonumber(redis.call('ZSCORE', NEWER, digest)) or t)
  if grace and passed >= grace then
    local seconds = string.format('%d', math.floor(passed / 1000))
    local reason = '{"reason":"unknown_version","error":"its version is ' .. version
      .. ', and no worker has come in ' .. seconds .. ' s that knows more than 2"}'
    parked[#parked + 1] = finish(t, 'newer:' .. digest, message, 'dead', reason)
    redis.call('ZREM', NEWER, digest)
    return
  end
  local delay = 5000
  if grace then
    delay = math.min(math.max(math.floor(grace / 60), 200), 5000, math.max(grace - passed, 50))
    -- Forgets the messages that a newer worker has claimed.
    local ago = 2 * grace + 60000
    redis.call('ZREMRANGEBYSCORE', NEWER, '-inf', t - ago)
    redis.call('PEXPIRE', NEWER, ago)
  end
  if redis.call('ZADD', DELAYED, 'NX', t + delay, message) == 0 then
    parked[#parked + 1] = park(t, 'newer:' .. digest, message, DUPLICATE)
    return
  end
  put_off = put_off + 1
end

