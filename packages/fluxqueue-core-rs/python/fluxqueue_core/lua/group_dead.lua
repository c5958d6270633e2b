-- group_dead: adds tasks that have died to the index of groups, the oldest first.
--
-- ARGV 1       'add'; then the rank to begin at (-1: at the first one that is in no group, if none was
--              left out before), how many to look at
--              'check'; then entries: those that the dead set no longer has leave the index
-- Returns      for 'add' {the rank to go on from, 1 if that is the end, how many are in groups}; the
--              script stops earlier at about 1 MiB
--              for 'check' how many it has looked at
-- Complexity   O(entries * log dead)
--
-- New entries come to the end of the set, as the clock goes on, and one that leaves the set leaves
-- the index. So the first one that is in no group has the rank that is the number of the others. A task
-- that dies in this millisecond may still come before another, so it waits for the next call.
--
-- Why: docs/decisions/0185-the-dead-set-has-an-index-of-groups.md
local MOST_BYTES = 1048576
local t = now()
local groups_of = dead_groups().groups_of

if ARGV[1] == 'check' then
  for i = 2, #ARGV do
    if not redis.call('ZSCORE', DEAD, ARGV[i]) then dead_groups().leave({ARGV[i]}) end
  end
  return #ARGV - 1
end

local rank, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
if rank < 0 then rank = redis.call('HLEN', groups_of) end
local rows = redis.call('ZRANGE', DEAD, rank, rank + limit - 1, 'WITHSCORES')
local is_end, bytes = #rows < 2 * limit, 0
for i = 1, #rows, 2 do
  local entry, died = rows[i], tonumber(rows[i + 1])
  if died >= t then
    is_end = true
    break
  elseif bytes >= MOST_BYTES then
    is_end = false
    break
  end
  if redis.call('HEXISTS', groups_of, entry) == 0 then
    local message = redis.call('HGET', DEAD_MESSAGES, entry) or ''
    local reason = redis.call('HGET', DEAD_REASONS, entry) or ''
    bytes = bytes + #message + #reason
    dead_groups().join(died, entry, message, reason)
  end
  rank = rank + 1
end
return {rank, is_end and 1 or 0, redis.call('HLEN', groups_of)}
