-- finish: the one end of a task.
--
-- Needs keys, message, dead, result, lock, limit.
--
-- Every script ends tasks here, except for the plain successes of an exchange: these are
-- a list of fields, and no script reads their messages. Every step at the end of a task
-- (keep its result, call its callback, free its lock and its place) belongs here. `settle` and `move`
-- look up the claimed message first; if it is gone, they end nothing.
--
-- A message that is parked as a duplicate has not ended: its twin is still in the queue.
-- So scripts park duplicates directly.
--
-- Why: docs/decisions/0046-every-task-ends-in-one-function.md
-- Why: docs/decisions/0115-a-message-names-its-callback.md

-- Ends the task of `message` as 'succeeded', 'expired', 'cancelled' or 'dead'. If there is
-- a reason (JSON), the dead set keeps the message as `entry`; otherwise the end is only
-- counted. Returns the entry, if any. Call this before you delete the message from its old
-- place. `effects`, which Rust has made, belong to this end; nil for none. Call `tell_kept`
-- at the end.
local function finish(t, entry, message, how, reason, effects)
  -- First: an error here must not repeat the writes that follow.
  local limited = limits_of(message)
  if limited then limited.leave(message, entry) end
  if effects then
    if #effects > 0 then check_keep(effects) end
    if effects.call then
      if reason then check_park() else redis.call('HINCRBY', STATS, how, 0) end
      -- The call that follows is the first write of the end: if it fails, nothing of the end
      -- is written. The list of another queue may be on another server of a cluster, or this
      -- user may have no right to it, or to LPUSH. Then the call goes to the queue of the
      -- dead task; without the right to LPUSH, through the delayed set.
      local list, call = unpack(effects.call)
      local reply = redis.pcall('LPUSH', list, call)
      if type(reply) ~= 'number' and list ~= PENDING then reply = redis.pcall('LPUSH', PENDING, call) end
      if type(reply) ~= 'number' then redis.call('ZADD', DELAYED, 'NX', t, call) end
    end
  end
  if reason then
    entry = park(t, entry, message, reason)
  else
    redis.call('HINCRBY', STATS, how, 1)
    entry = nil
  end
  if effects then keep(effects, t, message) end
  if byte(message, 6) == 50 then locks().free(message) end -- 50: '2', a message with options
  return entry
end

