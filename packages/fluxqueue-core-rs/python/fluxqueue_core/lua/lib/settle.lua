-- settle: records the outcomes of messages that a consumer holds.
--
-- Needs keys, message, dead, result, lock, limit, finish, condemn. Reads ARGV from `at` to `last`;
-- the head of exchange describes it. Rule 2: exchange has checked that the consumer is alive.
local function settle(t, at, save_dead, last)
  -- Plain successes take two commands for all. A message with options can't end by its
  -- field alone: its outcome is 'done', below.
  local succeeded = tonumber(ARGV[at])
  if succeeded > 0 then
    local settled = redis.call('HDEL', OWN_CLAIMED, unpack(ARGV, at + 1, at + succeeded))
    redis.call('HINCRBY', STATS, 'succeeded', settled)
    if any_cancelled then condemning().forget(ARGV, at + 1, at + succeeded) end
  end
  local effects -- of the outcome that follows them
  for i = at + 1 + succeeded, last, 4 do
    local f, kind, payload, extra = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local is_effect = kind == 'keep' or kind == 'keep_sharded' or kind == 'push'
    local message = not is_effect and redis.call('HGET', OWN_CLAIMED, f)
    -- Rule 21: if the message is not held, an earlier call has settled it. Then this outcome does
    -- nothing, and neither do its effects.
    if is_effect then
      effects = effects or {}
      if kind == 'push' then
        effects.call = {f, payload}
      else
        effects[#effects + 1] = {KEYS[tonumber(f)], payload, extra, kind == 'keep_sharded'}
      end
    elseif message and kind == 'note' then
      -- Only here: a report must not overwrite the outcome of a task that has ended.
      if effects then check_keep(effects) end
      if payload ~= '' then redis.call('HSET', OWN_CLAIMED, f, payload) end
      if effects then keep(effects) end
    elseif message then
      if payload ~= '' and (kind == 'later' or kind == 'release') and byte(message, 6) == 50 then -- 50: '2'
        -- Rule 22: such an outcome may arrive twice, and meet the next attempt.
        -- Why: docs/decisions/0120-counts-tell-attempts-of-one-field-apart.md
        local function earlier_attempts(of)
          local _, options = field(of)
          local function count(pattern) return tonumber(string.match(options or '', pattern) or '0') end
          return count('[{,]"s":(%d+)') + count('[{,]"b":(%d+)')
        end
        if earlier_attempts(message) > earlier_attempts(payload) then kind, payload = 'release', '' end
      end
      local ends = kind == 'done' or kind == 'dead' or kind == 'expired' or kind == 'cancelled'
      local limited = not ends and limits_of(message)
      if limited then limited.leave(message, f) end
      if not ends and any_cancelled and condemning().is_cancelled(message) then
        -- Rule 20: no attempt follows. The worker that claims it ends it.
        arrive(condemning().cancel(payload ~= '' and payload or message), true)
      elseif kind == 'done' then
        finish(t, f, message, 'succeeded', nil, effects)
      elseif kind == 'dead' then
        finish(t, f, message, 'dead', (save_dead or extra == '1') and payload, effects)
      elseif kind == 'expired' or kind == 'cancelled' then
        finish(t, f, message, kind, nil, effects)
      elseif kind == 'release' then
        -- With a raised count if a drain has cut the attempt off.
        if byte(message, 6) == 50 then locks().renew(t, message, 0) end -- 50: '2'
        arrive(payload ~= '' and payload or message, true)
      else -- 'retry' or 'later'
        -- Counts first: if this fails, no call may leave a copy of the message behind.
        if kind == 'retry' then redis.call('HINCRBY', STATS, 'retried', 1) end
        if redis.call('ZADD', DELAYED, 'NX', t + tonumber(extra), payload) == 0 then
          parked[#parked + 1] = park(t, f, message, DUPLICATE)
        end
        if byte(message, 6) == 50 then locks().renew(t, message, extra) end -- 50: '2'
      end
      redis.call('HDEL', OWN_CLAIMED, f)
      if ends and any_cancelled then condemning().forget({f}, 1, 1) end
    end
    if not is_effect then effects = nil end
  end
end

