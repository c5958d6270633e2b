-- finish: the one end of a task.
--
-- Needs keys, dead, result.
--
-- Every script ends tasks here, except for the plain successes of an exchange: these are
-- a list of fields, and no script reads their messages. Every step at the end of a task
-- (keep its result, free its lock) belongs here. `settle` and `move` look up the claimed
-- message first; if it is gone, they end nothing.
--
-- A message that is parked as a duplicate has not ended: its twin is still in the queue.
-- So scripts park duplicates directly.
--
-- Why: docs/decisions/0046-every-task-ends-in-one-function.md

-- Ends the task of `message` as 'succeeded', 'expired', 'cancelled' or 'dead'. If there is
-- a reason (JSON), the dead set keeps the message as `entry`; otherwise the end is only
-- counted. Returns the entry, if any. Call this before you delete the message from its old
-- place. `effects`, which Rust has made, belong to this end; nil for none. Call `tell_kept`
-- at the end.
local function finish(t, entry, message, how, reason, effects)
  if effects then check_keep(effects) end
  if reason then
    entry = park(t, entry, message, reason)
  else
    redis.call('HINCRBY', STATS, how, 1)
    entry = nil
  end
  if effects then keep(effects) end
  return entry
end

