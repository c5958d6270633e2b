-- operate: pauses a queue, strikes tasks of it, and takes notes of an operator.
--
-- ARGV 1       'pause' or 'resume'
--              'strike'; then two values for each strike: its id and its record
--              'lift'; then ids of strikes
--              'note'; then words, which are the reply: for the audit of a change of many calls
-- Returns      for each a word: 'paused', 'resumed', 'unchanged'; 'struck', 'unchanged', 'full' (there
--              are 100 strikes already); 'lifted', 'absent'
-- Complexity   O(values)
--
-- While there are strikes, `cancelled` has the member 'strikes': an exchange looks for that key
-- anyway, so a queue without strikes pays nothing. It also makes workers wait for an exchange before
-- they begin what a BLMOVE has brought.
--
-- Why: docs/decisions/0187-workers-judge-strikes.md

-- Each exchange returns all strikes.
local MOST_STRIKES = 100
local STRIKES = prefix() .. 'strikes'
local op, reply = ARGV[1], {}

if op == 'pause' then
  reply[1] = redis.call('SET', PAUSED, '1', 'NX') and 'paused' or 'unchanged'
elseif op == 'resume' then
  reply[1] = redis.call('DEL', PAUSED) == 1 and 'resumed' or 'unchanged'
elseif op == 'strike' then
  for i = 2, #ARGV, 2 do
    local id, record = ARGV[i], ARGV[i + 1]
    local is_there = redis.call('HEXISTS', STRIKES, id) == 1
    local word = is_there and 'unchanged' or 'full'
    if not is_there and redis.call('HLEN', STRIKES) < MOST_STRIKES then
      redis.call('HSET', STRIKES, id, record)
      redis.call('ZADD', CANCELLED, '+inf', 'strikes')
      word = 'struck'
    end
    reply[#reply + 1] = word
  end
elseif op == 'lift' then
  for i = 2, #ARGV do reply[#reply + 1] = redis.call('HDEL', STRIKES, ARGV[i]) == 1 and 'lifted' or 'absent' end
  if redis.call('EXISTS', STRIKES) == 0 then redis.call('ZREM', CANCELLED, 'strikes') end
else
  for i = 2, #ARGV do reply[#reply + 1] = ARGV[i] end
end
return reply
