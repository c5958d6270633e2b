-- exchange: renews the lease, settles outcomes and claims, in one round trip.
--
-- KEYS 12, 13  claimed:<c>, inbox:<c>
-- ARGV 1       consumer id
--      2       lease, ms
--      3       how many messages to claim at most (0..1000)
--      4       'suspects' to claim from there, else from pending
--      5       '1' to keep dead tasks
--      6       ms for which a message of a newer version is put off before it is parked
--      7       k, the number of tasks that succeeded (0..1000)
--      8...    their k fields, then four values for each other outcome:
--              field, 'retry',   the new message, delay in ms
--              field, 'later',   the new message, delay in ms (no failure is counted)
--              field, 'dead',    the reason as JSON, '1' to keep it whatever ARGV 5 says
--              field, 'release', '', ''
-- Returns      {0} where the consumer is not alive: the lease is lost, nothing was done
--              {1, now, paused, suspects waiting, ms since the last sweep or -1,
--               outcomes of messages that it did not hold, {entries parked}, {messages claimed},
--               1 where more wait, that would have been too many bytes at once,
--               messages of newer versions that were put off}
-- Complexity   O(outcomes + claimed)
local MOST_BYTES = 4194304

-- What of a batch would be too many bytes goes back, the last one first. False
-- where Redis refuses that (a right that is missing): then nothing was done.
local function put_back(source, batch, from)
  for i = #batch, from, -1 do
    if type(redis.pcall('RPUSH', source, batch[i])) == 'table' then return false end
  end
  return true
end

local id, lease, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local claimed, inbox = KEYS[12], KEYS[13]
local t = now()
if tonumber(redis.call('ZSCORE', CONSUMERS, id) or '0') <= 0 then return {0} end
redis.call('ZADD', CONSUMERS, 'XX', t + lease, id)

local parked, gone, grace = {}, 0, tonumber(ARGV[6])
adopt(inbox, claimed, t, parked, grace)

local succeeded = tonumber(ARGV[7])
if succeeded > 0 then
  local settled = redis.call('HDEL', claimed, unpack(ARGV, 8, 7 + succeeded))
  gone = succeeded - settled
  redis.call('HINCRBY', STATS, 'succeeded', settled)
end

for i = 8 + succeeded, #ARGV, 4 do
  local f, kind, payload, extra = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local message = redis.call('HGET', claimed, f)
  if not message then
    gone = gone + 1
  else
    if kind == 'retry' or kind == 'later' then
      -- First: an error here must not leave a copy behind with every call.
      if kind == 'retry' then redis.call('HINCRBY', STATS, 'retried', 1) end
      if redis.call('ZADD', DELAYED, 'NX', t + tonumber(extra), payload) == 0 then
        parked[#parked + 1] = park(t, f, message, DUPLICATE)
      end
    elseif kind == 'dead' then
      if ARGV[5] == '1' or extra == '1' then
        park(t, f, message, payload)
      else
        redis.call('HINCRBY', STATS, 'dead', 1)
      end
    else
      redis.call('RPUSH', home(message), message)
    end
    redis.call('HDEL', claimed, f)
  end
end

local got, more = {}, 0
local paused = redis.call('EXISTS', PAUSED)
local suspects = redis.call('LLEN', SUSPECTS)
if limit > 0 and paused == 0 then
  local source = PENDING
  if ARGV[4] == 'suspects' then source = SUSPECTS end
  -- In growing steps, until the bytes are enough: large messages must not keep
  -- Redis, or a slow line, busy for seconds. The plain case takes two commands
  -- for all; where one is odd they go one by one.
  local popped, bytes, step, n = {}, 0, 1, 0
  local fields, pairs_, seen, odd = {}, {}, {}, false
  while n < limit and bytes < MOST_BYTES do
    local batch = redis.call('RPOP', source, math.min(step, limit - n))
    if not batch then break end
    for i = 1, #batch do
      local m = batch[i]
      if bytes >= MOST_BYTES and put_back(source, batch, i) then break end
      local f = field(m)
      n = n + 1
      popped[n], bytes = m, bytes + #m
      if not f or seen[f] then
        odd = true
      else
        seen[f] = true
        fields[n], pairs_[2 * n - 1], pairs_[2 * n] = f, f, m
      end
    end
    -- By those so far; what is left of the bytes may be less than nothing.
    step = math.max(math.min(step * 2, 64, math.floor((MOST_BYTES - bytes) * n / bytes)), 1)
  end
  if bytes >= MOST_BYTES then more = 1 end
  -- An error from here on (a right that is missing) must not lose what was
  -- popped. In one line with its command, which is found by the line.
  local function give_back(from)
    for j = #popped, from, -1 do redis.call('RPUSH', source, popped[j]) end
  end
  if #popped > 0 and not odd then
    local found = redis.pcall('HMGET', claimed, unpack(fields)) if found.err then give_back(1) error(found.err) end
    for _, held in ipairs(found) do
      if held then odd = true break end
    end
  end
  if odd then
    for i, m in ipairs(popped) do
      local done, held, entry = pcall(hold, claimed, t, m, grace)
      -- It can't even be parked (a key of another type): back where it was.
      if not done then give_back(i) error(held) end
      if held then got[#got + 1] = m else parked[#parked + 1] = entry end
    end
  elseif #popped > 0 then
    local kept = redis.pcall('HSET', claimed, unpack(pairs_)) if type(kept) == 'table' then give_back(1) error(kept.err) end
    got = popped
  end
end

local last = redis.call('HGET', SWEEP, 'last')
local age = -1
if last then age = t - (tonumber(last) or 0) end
return {1, t, paused, suspects, age, gone, parked, got, more, put_off}
