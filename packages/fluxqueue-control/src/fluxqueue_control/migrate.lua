-- migrate: moves tasks of FluxQueue 0.3.2 into a queue of this release.
--
-- KEYS 1       the old list or sorted set
-- KEYS 2...    where they go: `pending`, `delayed`, or `dead`, `dead:messages` and `dead:reasons`
-- ARGV 1       'waiting', 'delayed' or 'dead'
-- ARGV 2       the reason for `dead:reasons`, or ''
--      3...    four values for each task: the old message, the new one, its time in the old sorted
--              set or '', and its entry in the dead set or ''
-- Returns      for each task 1 if it was moved; 0 if the old key no longer has it, as it was read;
--              -1 if the dead set has such an entry already
-- Complexity   O(position in the list) for each task
--
-- A task is removed and added in one call, so it is never in both places or in none.

local replies = {}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

-- Fails before the first write if a key has another type.
local kinds = {waiting = {'list'}, delayed = {'zset'}, dead = {'zset', 'hash', 'hash'}}
for i, kind in ipairs(kinds[ARGV[1]]) do
  local found = redis.call('TYPE', KEYS[i + 1])['ok']
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i + 1] .. ' is a ' .. found .. ', not a ' .. kind)
  end
end

local function taken(old, time)
  if ARGV[1] ~= 'delayed' then return redis.call('LREM', KEYS[1], -1, old) == 1 end
  local score = redis.call('ZSCORE', KEYS[1], old)
  return score and tonumber(score) == tonumber(time) and redis.call('ZREM', KEYS[1], old) == 1
end

for i = 3, #ARGV, 4 do
  local old, new, time, entry = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if ARGV[1] == 'dead' and redis.call('HEXISTS', KEYS[3], entry) == 1 then
    replies[#replies + 1] = -1
  elseif not taken(old, time) then
    replies[#replies + 1] = 0
  else
    if ARGV[1] == 'waiting' then
      redis.call('LPUSH', KEYS[2], new)
    elseif ARGV[1] == 'delayed' then
      redis.call('ZADD', KEYS[2], math.floor(time * 1000 + 0.5), new)
    else
      redis.call('ZADD', KEYS[2], now, entry)
      redis.call('HSET', KEYS[3], entry, new)
      redis.call('HSET', KEYS[4], entry, ARGV[2])
    end
    replies[#replies + 1] = 1
  end
end
return replies
