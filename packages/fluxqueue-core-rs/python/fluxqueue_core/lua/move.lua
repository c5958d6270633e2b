-- move: returns the raised messages of a buried consumer to their lists, or parks them.
--
-- KEYS         claimed:<c>, inbox:<c>; then those of effects, result:<id>
-- ARGV         four values for each message: field, 'home' or 'dead', the
--              raised message, the reason as JSON ('' for home). Effects precede
--              their message, as in exchange.
-- Returns      {how many returned to their lists, how many are dead}; messages that
--              another scheduler has moved do not count
-- Complexity   O(messages)
--
-- Rule 9: moves a message only if its field is still there, so that two schedulers
-- raise a count once. Rule 21: its effects happen only then, too.
--
-- Why: docs/decisions/0003-rescued-tasks-go-to-the-front.md
-- Why: docs/decisions/0014-scripts-write-before-they-delete.md
local t = now()
local sent, dead, effects = 0, 0, nil
any_cancelled = redis.call('EXISTS', CANCELLED) == 1
for i = 1, #ARGV, 4 do
  local f, kind, message, reason = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local is_effect = kind == 'keep' or kind == 'keep_sharded' or kind == 'push'
  if is_effect then
    effects = effects or {}
    if kind == 'push' then
      effects.call = {f, message}
    else
      effects[#effects + 1] = {KEYS[tonumber(f)], message, reason, kind == 'keep_sharded'}
    end
  elseif redis.call('HEXISTS', OWN_CLAIMED, f) == 1 then
    if kind == 'dead' then
      dead = dead + 1
      finish(t, f, message, 'dead', reason, effects)
      if any_cancelled then condemning().forget({f}, 1, 1) end
    else
      sent = sent + 1
      if byte(message, 6) == 50 then locks().renew(t, message, 0) end -- 50: '2'
      local limited = limits_of(message)
      if limited then limited.leave(message, f) end
      arrive(condemning().cancelled(message), true)
    end
    redis.call('HDEL', OWN_CLAIMED, f)
  end
  if not is_effect then effects = nil end
end
if limits_made then limits_made.admit_touched(t) end
arrivals().guard_front()
if sent > 0 then redis.call('HINCRBY', STATS, 'rescued', sent) end
if #kept > 0 then tell_kept() end
return {sent, dead}
