-- expiry: replaces the time that a caller gives a task by the moment when it expires.
--
-- Why: docs/decisions/0097-an-expiry-counts-by-the-clock-of-redis.md

-- Returns the message of a new task. Its options have `"x":"+<ms>"` if the caller gave a time
-- from now on. The moment is one byte shorter, so the message does not grow.
local function begin_expiry(t, message)
  if string.byte(message, 6) ~= 50 then return message end -- 50: '2', a message with options
  -- A new task has no counters, so its options begin at a fixed position.
  local _, stop, before, ms = string.find(message, '^(,"opts":{[^{}]-"x":)"%+(%d+)"', 51)
  if not stop then return message end
  return string.sub(message, 1, 50) .. before .. string.format('%.0f', t + ms) .. string.sub(message, stop + 1)
end

