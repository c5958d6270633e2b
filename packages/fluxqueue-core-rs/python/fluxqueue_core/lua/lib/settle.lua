-- settle: records the outcomes of messages that a consumer holds.
--
-- Needs keys, message, dead, finish, arrive. Reads ARGV from `at` on; the head of exchange
-- describes it. Rule 2: exchange has checked that the consumer is alive.
local function settle(t, at, save_dead)
  -- Plain successes take two commands for all. A message with options can't end by its
  -- field alone: its outcome is 'done', below.
  local succeeded = tonumber(ARGV[at])
  if succeeded > 0 then
    local settled = redis.call('HDEL', OWN_CLAIMED, unpack(ARGV, at + 1, at + succeeded))
    redis.call('HINCRBY', STATS, 'succeeded', settled)
  end
  for i = at + 1 + succeeded, #ARGV, 4 do
    local f, kind, payload, extra = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local message = redis.call('HGET', OWN_CLAIMED, f)
    -- If the message is not held, an earlier call has settled it: this outcome does nothing.
    if message then
      if kind == 'done' then
        finish(t, f, message, 'succeeded')
      elseif kind == 'dead' then
        finish(t, f, message, 'dead', (save_dead or extra == '1') and payload)
      elseif kind == 'expired' or kind == 'cancelled' then
        finish(t, f, message, kind)
      elseif kind == 'release' then
        arrive(message, true)
      else -- 'retry' or 'later'
        -- Counts first: if this fails, no call may leave a copy of the message behind.
        if kind == 'retry' then redis.call('HINCRBY', STATS, 'retried', 1) end
        if redis.call('ZADD', DELAYED, 'NX', t + tonumber(extra), payload) == 0 then
          parked[#parked + 1] = park(t, f, message, DUPLICATE)
        end
      end
      redis.call('HDEL', OWN_CLAIMED, f)
    end
  end
end

