-- client_keys: names the keys of a client's call, as `keys` names those of other scripts.
--
-- A client has rights only to the keys that its calls need. Calls without a priority name
-- no third key.
local PENDING, DELAYED, PRIORITIZED = KEYS[1], KEYS[2], KEYS[3]
local SUSPECTS = PENDING -- no new message belongs there

