-- settle: records how the attempts at messages ended that a consumer holds.
--
-- Needs keys, message, dead. Reads ARGV from `at` on, as the head of exchange says.

-- Settles all outcomes; returns how many were of messages that the consumer did not hold.
local function settle(t, at, save_dead)
  local gone, succeeded = 0, tonumber(ARGV[at])
  if succeeded > 0 then
    local settled = redis.call('HDEL', OWN_CLAIMED, unpack(ARGV, at + 1, at + succeeded))
    gone = succeeded - settled
    redis.call('HINCRBY', STATS, 'succeeded', settled)
  end
  for i = at + 1 + succeeded, #ARGV, 4 do
    local f, kind, payload, extra = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local message = redis.call('HGET', OWN_CLAIMED, f)
    if not message then
      gone = gone + 1
    else
      if kind == 'done' then
        redis.call('HINCRBY', STATS, 'succeeded', 1)
      elseif kind == 'retry' or kind == 'later' then
        -- Counted first: an error here must not leave a copy behind with every call.
        if kind == 'retry' then redis.call('HINCRBY', STATS, 'retried', 1) end
        if redis.call('ZADD', DELAYED, 'NX', t + tonumber(extra), payload) == 0 then
          parked[#parked + 1] = park(t, f, message, DUPLICATE)
        end
      elseif kind == 'dead' then
        if save_dead or extra == '1' then
          park(t, f, message, payload)
        else
          redis.call('HINCRBY', STATS, 'dead', 1)
        end
      else
        redis.call('RPUSH', home(message), message)
      end
      redis.call('HDEL', OWN_CLAIMED, f)
    end
  end
  return gone
end

