-- keys: names the keys that a script is called with.
--
-- The keys of the queue come first, the same for every script; then those of one
-- consumer, for the scripts that take them; then the hash that says which worker a
-- consumer is. `src/keys.rs` has the same order. Further keys follow; the head of
-- their script says how it finds them.
--
-- All keys contain the hash tag {queue}, so a script uses one slot of a Redis Cluster.
-- A cluster wants every key in KEYS, even one that a message names.
--
-- An error in the middle of a script (a key of another type, for example) undoes
-- nothing. So every script writes a message to its new place before it deletes it from
-- the old one: then an error can't lose the message.
local CONSUMERS, SWEEP, PENDING, SUSPECTS, DELAYED, DEAD, DEAD_MESSAGES, DEAD_REASONS, STATS, PAUSED, NEWER,
  OWN_CLAIMED, OWN_INBOX, WORKERS = unpack(KEYS, 1, 16) -- 16: at least as many as there are names

