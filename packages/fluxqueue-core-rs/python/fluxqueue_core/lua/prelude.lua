-- Shared by every script: it stands before each of them when they are loaded.
--
-- An error inside a script keeps what was written before it (somebody made a
-- key of another type). So a message is written to where it goes before it is
-- deleted where it was: then such an error can't lose it.
--
-- KEYS 1..11, the same for all scripts of a queue (`src/keys.rs` has the names
-- and the order); the keys of consumers follow from 12 on. All carry the hash
-- tag {queue}, so a script stays in one slot of a Redis Cluster.
local CONSUMERS, SWEEP, PENDING, SUSPECTS, DELAYED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local DEAD, DEAD_MESSAGES, DEAD_REASONS, STATS, PAUSED = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local NEWER = KEYS[11]

-- Milliseconds since 1970 by the clock of Redis: the clocks of hosts do not matter.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local byte, find, sub = string.byte, string.find, string.sub

-- The bytes from the id up to `,"name"` (the id and the counters: one attempt),
-- or nil where the message does not begin as `src/message.rs` writes it.
local function field(message)
  if byte(message, 50) ~= 34 or sub(message, 1, 13) ~= '{"v":1,"id":"' then return nil end
  local stop = find(message, ',"name":', 51, true)
  if not stop or stop > 113 then return nil end
  return sub(message, 14, stop - 1)
end

-- Where a message belongs: with the suspects once it has lost two workers.
local function home(message)
  if string.byte(message, 53) ~= 100 then return PENDING end -- 'd'
  local deliveries = tonumber(string.match(message, '^,"deliveries":(%d+)', 51) or '0')
  if deliveries >= 2 then return SUSPECTS end
  return PENDING
end

-- Whether everything can be parked: asked once in a call, before anything is
-- written, since half an entry would be written again and again.
local parkable = false

local function check_parkable()
  for key, kind in pairs({[DEAD] = 'zset', [DEAD_MESSAGES] = 'hash', [DEAD_REASONS] = 'hash', [STATS] = 'hash'}) do
    local found = redis.call('TYPE', key)['ok']
    if found ~= 'none' and found ~= kind then error('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind) end
  end
  redis.call('HINCRBY', STATS, 'dead', 0) -- is it a number?
  parkable = true
end

-- Keeps what can't be run, with its reason (JSON). Never overwrites: an entry
-- of the same name gets a number behind it.
local function park(t, entry, message, reason)
  if not parkable then check_parkable() end
  local name = entry
  while redis.call('HEXISTS', DEAD_MESSAGES, entry) == 1 do
    entry = name .. '#' .. redis.call('HINCRBY', STATS, 'parked_twice', 1)
  end
  redis.call('ZADD', DEAD, t, entry)
  redis.call('HSET', DEAD_MESSAGES, entry, message)
  redis.call('HSET', DEAD_REASONS, entry, reason)
  redis.call('HINCRBY', STATS, 'dead', 1)
  return entry
end

local MALFORMED = '{"reason":"malformed","error":"it does not begin like a message of this protocol"}'
local DUPLICATE = '{"reason":"duplicate","error":"the same attempt of a task with this id is in the queue already"}'

local function park_malformed(t, message)
  return park(t, 'sha1:' .. redis.sha1hex(message), message, MALFORMED)
end

-- The version of a message that a later version of FluxQueue has written, as
-- text, or nil. That a message begins with its version holds for all versions;
-- nothing else of it can be known here.
local function newer(message)
  local version = string.match(message, '^{"v":([1-9]%d*)[,}]')
  if version and version ~= '1' and #version <= 9 then return version end
  return nil
end

-- How many messages of newer versions this call has put off.
local put_off = 0

-- Puts a message of a newer version off, to the byte as it is: in a rolling
-- upgrade there are workers that know it. After `grace` ms (nil: for ever) it is
-- parked; the entry.
local function leave_for_newer(t, message, version, grace)
  local digest = redis.sha1hex(message)
  redis.call('ZADD', NEWER, 'NX', t, digest)
  local passed = t - (tonumber(redis.call('ZSCORE', NEWER, digest)) or t)
  if grace and passed >= grace then
    local seconds = string.format('%d', math.floor(passed / 1000))
    local entry = park(t, 'newer:' .. digest, message, '{"reason":"unknown_version","error":"its version is '
      .. version .. ', and no worker has come in ' .. seconds .. ' s that knows more than 1"}')
    redis.call('ZREM', NEWER, digest)
    return entry
  end
  local delay = 5000
  if grace then
    delay = math.min(math.max(math.floor(grace / 60), 200), 5000, math.max(grace - passed, 50))
    -- Who was taken by such a worker is forgotten here.
    local ago = 2 * grace + 60000
    redis.call('ZREMRANGEBYSCORE', NEWER, '-inf', t - ago)
    redis.call('PEXPIRE', NEWER, ago)
  end
  if redis.call('ZADD', DELAYED, 'NX', t + delay, message) == 0 then
    return park(t, 'newer:' .. digest, message, DUPLICATE)
  end
  put_off = put_off + 1
  return nil
end

-- Puts a message into a claimed hash. What can't be held is parked: a message
-- without a field, and one whose field is taken (two made by hand with one id
-- must not overwrite each other); or put off, where its version is newer.
-- True, or false and the entry it was parked as, if it was.
local function hold(claimed, t, message, grace)
  local f = field(message)
  if not f then
    local version = newer(message)
    if version then return false, leave_for_newer(t, message, version, grace) end
    return false, park_malformed(t, message)
  end
  if redis.call('HSETNX', claimed, f, message) == 1 then return true end
  return false, park(t, f, message, DUPLICATE)
end

-- Moves what a BLMOVE has put into an inbox to the claimed hash; the entries
-- of what had to be parked are appended to `parked`.
local function adopt(inbox, claimed, t, parked, grace)
  local message = redis.call('LINDEX', inbox, -1)
  while message do
    local held, entry = hold(claimed, t, message, grace)
    if not held then parked[#parked + 1] = entry end
    redis.call('RPOP', inbox)
    message = redis.call('LINDEX', inbox, -1)
  end
end

