-- condemn: marks messages that no worker may begin. The worker that claims one ends it.
--
-- Needs keys, message, lock.
--
-- Rule 18: a script does not end a task by itself: it does not know what belongs to the end. Its lock is
-- free at once, because no attempt follows; that of its id when it has ended.
--
-- Why: docs/decisions/0098-scripts-condemn-and-workers-end.md
-- Why: docs/decisions/0099-a-cancel-is-kept-until-the-task-ends.md

-- Whether any task of the queue is cancelled. A script asks for it before it uses `cancelled`
-- and those after it.
local any_cancelled
local condemning_made

-- Returns the functions below. A call makes them when it needs the first of them: a plain
-- exchange needs none, and a function costs it as much as a command of Redis.
local function condemning()
  if condemning_made then return condemning_made end
  local self = {}

  -- Returns the message with the option `e`, first among its options. A message that has it
  -- already, that has no room for it, or that is malformed, stays as it is.
  local function mark(message, why, keeps_lock)
    local f, options = field(message)
    if not f then return message end
    local stop = 13 + #f
    if byte(message, 6) == 49 then -- 49: '1'
      return '{"v":2' .. sub(message, 7, stop) .. ',"opts":{"e":' .. why .. '}' .. sub(message, stop + 1)
    end
    if not options or find(options, '[{,]"e":') or #options > 506 then return message end
    if not keeps_lock then locks().condemned(message) end
    local comma = #options > 2 and ',' or ''
    return sub(message, 1, stop) .. ',"opts":{"e":' .. why .. comma .. sub(message, stop + 10)
  end

  -- Condemns a message whose task was cancelled. `keeps_lock`: its lock has another owner now.
  function self.cancel(message, keeps_lock) return mark(message, 2, keeps_lock) end

  -- Condemns a message that has expired.
  function self.expired(t, message)
    if byte(message, 6) ~= 50 then return message end -- 50: '2', a message with options
    local _, options = field(message)
    local at = options and tonumber(string.match(options, '[{,]"x":(%d+)[,}]'))
    if at and at <= t then return mark(message, 1) end
    return message
  end

  -- Whether the task of a message is cancelled.
  function self.is_cancelled(message)
    return any_cancelled and redis.call('ZSCORE', CANCELLED, sub(message, 14, 49)) and true
  end

  -- Condemns a message if its task is cancelled. Rule 20: every script that returns a message to
  -- its list does so.
  function self.cancelled(message)
    if self.is_cancelled(message) then return mark(message, 2) end
    return message
  end

  -- Forgets that the tasks of these fields are cancelled: they have ended.
  function self.forget(fields, from, to)
    local ids = {}
    for i = from, to do ids[#ids + 1] = sub(fields[i], 1, 36) end
    if #ids > 0 then redis.call('ZREM', CANCELLED, unpack(ids)) end
  end

  condemning_made = self
  return self
end

