-- settle: records how the attempts ended at the messages that a consumer holds.
--
-- Needs keys, message, dead, finish. Reads ARGV from `at` on, as the head of exchange
-- says. Rule 2: exchange has made sure that the consumer is alive.
local function settle(t, at, save_dead)
  -- Plain successes: two commands for all. A message with options does not end by
  -- its field alone; it comes as 'done', below.
  local succeeded = tonumber(ARGV[at])
  if succeeded > 0 then
    local settled = redis.call('HDEL', OWN_CLAIMED, unpack(ARGV, at + 1, at + succeeded))
    redis.call('HINCRBY', STATS, 'succeeded', settled)
  end
  for i = at + 1 + succeeded, #ARGV, 4 do
    local f, kind, payload, extra = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local message = redis.call('HGET', OWN_CLAIMED, f)
    -- An outcome of a message that is not held does nothing: it has come before.
    if message then
      if kind == 'done' then
        finish(t, f, message, 'succeeded')
      elseif kind == 'dead' then
        finish(t, f, message, 'dead', (save_dead or extra == '1') and payload)
      elseif kind == 'release' then
        redis.call('RPUSH', home(message), message)
      else -- 'retry' or 'later'
        -- Counted first: an error here must not leave a copy behind with every call.
        if kind == 'retry' then redis.call('HINCRBY', STATS, 'retried', 1) end
        if redis.call('ZADD', DELAYED, 'NX', t + tonumber(extra), payload) == 0 then
          parked[#parked + 1] = park(t, f, message, DUPLICATE)
        end
      end
      redis.call('HDEL', OWN_CLAIMED, f)
    end
  end
end

