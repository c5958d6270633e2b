-- unique_keys: names the keys of a client's call that wants a lock or has a limit, as `keys` names
-- those of other scripts.
local PENDING, DELAYED, PRIORITIZED, STATS, CANCELLED, UNIQUE = unpack(KEYS, 1, 6)
local SUSPECTS = PENDING -- no new message belongs there

