-- keys: names the keys of a call.
--
-- The keys of the queue come first and are the same for every script. The keys of one
-- consumer follow if the script needs them, then the hash that describes each consumer's
-- worker. `src/keys.rs` has the same order. The head of a script lists any further keys.
--
-- All keys contain the hash tag {queue}, so a script uses one hash slot of a Redis Cluster.
-- A cluster wants every key in KEYS, even one that a message names.
--
-- An error in the middle of a script (a key of another type, for example) undoes
-- nothing. So every script writes a message to its new place before it deletes it from
-- the old one: then an error can't lose the message.
local CONSUMERS, SWEEP, PENDING, SUSPECTS, DELAYED, DEAD, DEAD_MESSAGES, DEAD_REASONS, STATS, PAUSED, NEWER,
  PRIORITIZED, CANCELLED, OWN_CLAIMED, OWN_INBOX, WORKERS = unpack(KEYS, 1, 16)

