-- cancel: a task must not begin, or must be stopped.
--
-- KEYS         the starts of claimed:<c>, inbox:<c> and result:<id>
-- ARGV 1       its id
--      2       ms after which the ids of other tasks are forgotten
--      3       how many messages to look at, at most
--      4, 5    the outcome of a cancelled task as JSON, without the number of its attempts: what
--              comes before it, and what follows
--      6       '1' in a cluster
-- Returns      {'cancelled'} if it waited: its message is condemned, and no worker begins it. Its
--              result, if it keeps one, is published in this call;
--              {'already_done'} if no key of the queue has it;
--              {'requested'} if a worker has it, or if the queue is too long to look through:
--              the worker that has it, or claims it, ends it
-- Complexity   O(messages looked at + consumers)
--
-- The id is written first, so an error halfway leaves a cancel that was requested.
--
-- Why: docs/decisions/0170-a-cancel-tells-at-once.md
local id, limit = ARGV[1], tonumber(ARGV[3])
local RESULTS = KEYS[#KEYS]
-- The bytes to look at, at most: large messages must not keep Redis busy for long.
local MOST_BYTES = 4194304
local STEP = 100
local t = now()
redis.call('RPOP', PENDING, 0) -- is it allowed? This removes nothing.
redis.call('ZREMRANGEBYSCORE', CANCELLED, '-inf', t - tonumber(ARGV[2]))
redis.call('ZADD', CANCELLED, t, id)

local looked, bytes, all = 0, 0, true
-- Finds the message of the task among `size` of them; `range` returns those between two ranks.
local function look(size, range)
  for from = 0, size - 1, STEP do
    if looked >= limit or bytes >= MOST_BYTES then
      all = false
      return nil
    end
    local messages = range(from, from + STEP - 1)
    for _, message in ipairs(messages) do
      if sub(message, 14, 49) == id then return message end
      bytes = bytes + #message
    end
    looked = looked + #messages
  end
  return nil
end

-- Returns the message without the option `r`, and its result as an effect; nil if the task keeps
-- none. The worker that ends the task keeps no second one. A task that has expired ends so.
local function take_result(message)
  local f, options = field(message)
  local ttl = options and string.match(options, '[{,]"r":(%d+)[,}]')
  if not ttl or #ttl > 13 or tonumber(ttl) == 0 or find(options, '[{,]"e":1[,}]') then return message end
  local left = string.gsub(options, ',"r":%d+', '', 1)
  if left == options then left = string.gsub(options, '"r":%d+,?', '', 1) end
  local attempts = string.match(f, '"retries":(%d+)') or '0'
  -- Redis 7.0 brought sharded channels, and this number.
  local sharded = ARGV[6] == '1' and redis.REDIS_VERSION_NUM ~= nil
  local effect = {RESULTS .. id, ARGV[4] .. attempts .. ARGV[5], ttl, sharded}
  check_keep({effect})
  local start = 22 + #f -- where the options begin
  return sub(message, 1, start - 1) .. left .. sub(message, start + #options), effect
end

-- Puts the condemned message to the front of a list, where the next worker ends it. Returns
-- whether its old place must be left.
local function condemn_to(list, message)
  local untold, effect = take_result(message)
  local condemned = condemning().cancel(untold)
  if condemned ~= message then
    local limited = limits_of(message)
    if limited then limited.leave(message, (field(message))) end
    arrivals().push_front(list, condemned)
  end
  if effect then keep({effect}, t, message) end
  return condemned ~= message
end

-- Ends the call for a task that waited. Its place in a limit is free.
local function answer_cancelled()
  if limits_made then limits_made.admit_touched(t) end
  arrivals().guard()
  if #kept > 0 then tell_kept() end
  return {'cancelled'}
end

local delayed = look(redis.call('ZCARD', DELAYED), function(from, to)
  return redis.call('ZRANGE', DELAYED, from, to)
end)
if delayed then
  -- A condemned one that is delayed has no room for the mark: it moves as it is.
  if not condemn_to(home(delayed), delayed) then
    if limits_of(delayed) then arrive(delayed, true) else arrivals().push_front(home(delayed), delayed) end
  end
  redis.call('ZREM', DELAYED, delayed)
  return answer_cancelled()
end
local ranked = look(redis.call('ZCARD', PRIORITIZED), function(from, to)
  return redis.call('ZRANGE', PRIORITIZED, from, to)
end)
if ranked then
  if condemn_to(PENDING, ranked) then redis.call('ZREM', PRIORITIZED, ranked) end
  return answer_cancelled()
end
for _, list in ipairs({PENDING, SUSPECTS}) do
  local waiting = look(redis.call('LLEN', list), function(from, to) return redis.call('LRANGE', list, from, to) end)
  if waiting then
    if condemn_to(list, waiting) and redis.call('LREM', list, 1, waiting) == 0 then
      redis.call('ZREM', PRIORITIZED, waiting) -- it was at the head, and has returned there
    end
    return answer_cancelled()
  end
end
local lines = limits().lines(limit)
if not lines then all = false end
for _, line in ipairs(lines or {}) do
  local waiting = look(redis.call('LLEN', line), function(from, to) return redis.call('LRANGE', line, from, to) end)
  if waiting then
    if condemn_to(home(waiting), waiting) then
      redis.call('LREM', line, 1, waiting)
      limits().shortened(line)
    end
    return answer_cancelled()
  end
  looked = looked + 1
end
-- The keys of consumers are known by their ids only. They are in the queue's hash slot.
local claimed, inbox = OWN_CLAIMED, OWN_INBOX
for _, consumer in ipairs(redis.call('ZRANGE', CONSUMERS, 0, -1)) do
  for _, f in ipairs(redis.call('HKEYS', claimed .. consumer)) do
    if sub(f, 1, 36) == id then return {'requested'} end
    looked = looked + 1
  end
  for _, held in ipairs(redis.call('LRANGE', inbox .. consumer, 0, -1)) do
    if sub(held, 14, 49) == id then return {'requested'} end
  end
  looked = looked + 1
  if looked >= limit then
    all = false
    break
  end
end
if not all then return {'requested'} end
redis.call('ZREM', CANCELLED, id)
return {'already_done'}
