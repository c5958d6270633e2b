-- finish: the one end of a task.
--
-- Needs keys, dead.
--
-- Every task ends here, whichever script ends it, except for the plain successes of an
-- exchange: those are a list of fields, and no script reads their messages. All that
-- must happen at the end of a task (keep its result, free its lock) belongs here.
-- `settle` and `move` look a claimed message up first: if it is gone, they end nothing.
--
-- A message that is parked as a duplicate has not ended: its twin lives on. So scripts
-- park duplicates directly.
--
-- Why: docs/decisions/0046-every-task-ends-in-one-function.md

-- Ends the task of `message` as 'succeeded' or 'dead'. With a reason (JSON) the message
-- is kept in the dead set as `entry`; without, the end is only counted. Returns the
-- entry if there is one. Call it before you delete the message where it was.
local function finish(t, entry, message, how, reason)
  if reason then return park(t, entry, message, reason) end
  redis.call('HINCRBY', STATS, how, 1)
  return nil
end

