-- message: reads the head of a message, in which every part has a fixed position, and
-- decodes nothing. `src/message/` has the same rules in Rust.
--
-- Needs keys.
--
-- Why: docs/decisions/0047-options-in-the-head-of-a-message.md
local byte, find, sub = string.byte, string.find, string.sub

-- The last message with options that was read: each feature reads it again.
local last, last_field, last_opts

-- The id and the counters: one attempt at one task. In version 1 the field ends
-- before `,"name":`; in version 2 before `,"opts":`, and the JSON object of
-- the options is the second result. nil if the message does not begin as Rust
-- writes it.
local function field(message)
  if message == last then return last_field, last_opts end
  if byte(message, 50) ~= 34 then return nil end -- 34: '"'
  local head = sub(message, 1, 13)
  if head == '{"v":1,"id":"' then
    local stop = find(message, ',"name":', 51, true)
    if stop and stop <= 113 then return sub(message, 14, stop - 1) end
  elseif head == '{"v":2,"id":"' then
    local stop = find(message, ',"opts":', 51, true)
    if stop and stop <= 113 then
      -- No brace is inside, and both braces are within 512 bytes.
      last, last_field = message, sub(message, 14, stop - 1)
      last_opts = string.match(sub(message, stop + 8, stop + 519), '^{[^{}]*}')
      return last_field, last_opts
    end
  end
  return nil
end

-- The list that a message belongs to. Rule 12: the suspects, once it has lost two workers.
local function home(message)
  if byte(message, 53) ~= 100 then return PENDING end -- 100: 'd'
  local deliveries = tonumber(string.match(message, '^,"deliveries":(%d+)', 51) or '0')
  if deliveries >= 2 then return SUSPECTS end
  return PENDING
end

-- The version of a message that a later FluxQueue has written, as text, or nil.
-- Messages of all versions begin with the version. Nothing else about them is known.
local function newer(message)
  local version = string.match(message, '^{"v":([1-9]%d*)[,}]')
  if version and version ~= '1' and version ~= '2' and #version <= 9 then return version end
  return nil
end

