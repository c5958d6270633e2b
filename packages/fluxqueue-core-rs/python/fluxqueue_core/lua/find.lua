-- find: looks for a task in a list, from the left end on. It writes nothing.
--
-- ARGV 1       its id
--      2       'pending', 'suspects' or 'limit:line:<digest>'
--      3       the index to begin at; '' to begin near the index at which the time in the id would be
--              in order
--      4       how many messages to look at, at most; the script stops earlier at about 4 MiB
-- Returns      {length of the list, the index to go on from, or -1 at its end}, and if the
--              task is found its index and its message
-- Complexity   O(messages looked at)
--
-- New messages come to the left end, and workers take from the right one. So a caller that goes on
-- from index to index misses no message that stays.
local id, at, limit = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local list = prefix() .. ARGV[2]
-- Large messages must not keep Redis busy for long.
local MOST_BYTES = 4194304
local STEP = 100
local length, looked, bytes = redis.call('LLEN', list), 0, 0

-- Ids of version 7 begin with their times, so the younger one is the greater text.
if not at then
  local low, high = 0, length
  while low < high do
    local middle = math.floor((low + high) / 2)
    local text = sub(redis.call('LINDEX', list, middle), 14, 49)
    if sub(text, 15, 15) == '7' and text > id then low = middle + 1 else high = middle end
  end
  at = math.max(0, low - math.floor(limit / 2))
end
while at < length and looked < limit and bytes < MOST_BYTES do
  local messages = redis.call('LRANGE', list, at, at + STEP - 1)
  for i = 1, #messages do
    if sub(messages[i], 14, 49) == id then return {length, at + i, at + i - 1, messages[i]} end
    bytes = bytes + #messages[i]
  end
  at, looked = at + STEP, looked + STEP
end
return {length, at < length and at or -1}
