-- periodic_keys: names the keys of a queue's periodic tasks, the last ones of a call.
--
-- A record is text: the digest of record and message (16 characters), the digest of its
-- times (8), whether code declares it ('d') or a call schedules it ('s'), whether it is
-- paused ('1' or '0'), and JSON that no script reads.
--
-- The message of its runs follows a head of 26 characters, by which `tick` need not read the record
-- and search the message: the digest of the record (16); 'd' or 's' of the record; '1' if the
-- message has a lock, a priority or a limit, or '0'; and where the moment of its expiry
-- begins and ends in the message (4 and 4 digits; 0000 without one).
--
-- Why: docs/decisions/0140-a-periodic-task-is-a-ready-message.md
local PERIODIC, PERIODIC_MESSAGES, PERIODIC_DUE, PERIODIC_RUNS, PERIODIC_CHANGED, PERIODIC_SEEN, PERIODIC_NOTES =
  unpack(KEYS, #KEYS - 6)
