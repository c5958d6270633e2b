-- condemn: marks messages that no worker may begin. The worker that claims one ends it.
--
-- Needs message.
--
-- A script does not end a task by itself: it does not know what belongs to the end.
--
-- Why: docs/decisions/0098-scripts-condemn-and-workers-end.md
local EXPIRED = 1

-- Returns the message with the option `e`, first among its options. A message that has it
-- already, that has no room for it, or that is malformed, stays as it is.
local function condemn(message, why)
  local f, options = field(message)
  if not f then return message end
  local stop = 13 + #f
  if byte(message, 6) == 49 then -- 49: '1'
    return '{"v":2' .. sub(message, 7, stop) .. ',"opts":{"e":' .. why .. '}' .. sub(message, stop + 1)
  end
  if not options or find(options, '[{,]"e":') or #options > 506 then return message end
  local comma = #options > 2 and ',' or ''
  return sub(message, 1, stop) .. ',"opts":{"e":' .. why .. comma .. sub(message, stop + 10)
end

-- Condemns a message that has expired.
local function condemn_expired(t, message)
  if byte(message, 6) ~= 50 then return message end -- 50: '2', a message with options
  local _, options = field(message)
  local at = options and tonumber(string.match(options, '[{,]"x":(%d+)[,}]'))
  if at and at <= t then return condemn(message, EXPIRED) end
  return message
end

