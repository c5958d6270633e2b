-- keys: names the keys that a script is called with.
--
-- The keys of the queue come first, the same for every script; then those of one
-- consumer, for the scripts that take them; then the hash that says which worker a
-- consumer is. `src/keys.rs` has the same order. Further keys follow; the head of
-- their script says how it finds them.
--
-- All keys carry the hash tag {queue}, so a script stays in one slot of a Redis
-- Cluster. There every key must be in KEYS, also one that a message names.
--
-- An error inside a script keeps what was written before it (a key may be of
-- another type). So every script writes a message to where it goes before it
-- deletes the message where it was: then such an error can't lose it.
local CONSUMERS, SWEEP, PENDING, SUSPECTS, DELAYED, DEAD, DEAD_MESSAGES, DEAD_REASONS, STATS, PAUSED, NEWER,
  OWN_CLAIMED, OWN_INBOX, WORKERS = unpack(KEYS, 1, 16) -- 16: at least as many as there are names

