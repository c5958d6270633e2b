-- delete: ends tasks that wait, and removes dead ones.
--
-- KEYS         the keys of the queue; then those of effects, result:<id>
-- ARGV         four values for each task:
--              its message, 'pending', 'suspects' or 'limit:line:<digest>', how many elements to
--              look at from the left end of the list (from the right end: negative), ''
--              its message, 'prioritized' or 'delayed', '', ''
--              its entry, 'dead', when it died (ms), ''
--              An effect of a task that waits is four values before it, as in exchange:
--              position of a key in KEYS, 'keep' or 'keep_sharded', an outcome, ms to keep it
-- Returns      for each task: 1 if it is deleted; 0 if it is no longer there
-- Complexity   O(tasks * elements to look at)
--
-- A task that waits ends as 'cancelled'. Rule 21: only if its message is still where the caller has
-- found it.
--
-- Why: docs/decisions/0166-a-deleted-task-ends-as-cancelled.md
local t = now()
local replies, effects = {}, nil
any_cancelled = redis.call('EXISTS', CANCELLED) == 1

local function end_waiting(message, where, within)
  local remove = removal(message, where, within)
  if not remove then return 0 end
  finish(t, (field(message)), message, 'cancelled', nil, effects)
  remove()
  if any_cancelled then condemning().forget({sub(message, 14, 49)}, 1, 1) end
  return 1
end

local function remove_dead(entry, died)
  local score = redis.call('ZSCORE', DEAD, entry)
  if not score or math.abs(score - died) >= 1 then return 0 end
  redis.call('ZREM', DEAD, entry)
  redis.call('HDEL', DEAD_MESSAGES, entry)
  redis.call('HDEL', DEAD_REASONS, entry)
  dead_groups().leave({entry})
  return 1
end

for i = 1, #ARGV, 4 do
  local what, where, third, extra = unpack(ARGV, i, i + 3)
  if where == 'keep' or where == 'keep_sharded' then
    effects = effects or {}
    effects[#effects + 1] = {KEYS[tonumber(what)], third, extra, where == 'keep_sharded'}
  else
    local is_dead = where == 'dead'
    replies[#replies + 1] = is_dead and remove_dead(what, third) or end_waiting(what, where, tonumber(third))
    effects = nil
  end
end
if limits_made then limits_made.admit_touched(t) end
-- The head of `pending` may have been one of them.
arrivals().guard()
if #kept > 0 then tell_kept() end
return replies
