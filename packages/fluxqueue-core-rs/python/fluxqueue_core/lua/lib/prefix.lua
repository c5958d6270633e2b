-- prefix: the start of the names of all keys of the queue, for those that are not in KEYS.
--
-- Needs keys, message.
local function prefix() return sub(PENDING, 1, -8) end -- 'pending' has 7 bytes

