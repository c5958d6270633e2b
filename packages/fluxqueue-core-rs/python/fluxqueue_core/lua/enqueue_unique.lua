-- enqueue_unique: enqueues calls of which some want a lock, and those only if they get it, and some
-- have a limit.
--
-- KEYS         pending, delayed, prioritized, stats, cancelled; then the start of the keys of
--              locks, which no key has as its name: while a hash slot moves, Redis refuses the
--              script because of it, so that no lock can be missed
-- ARGV         two values for each call:
--              when it is due, as in `enqueue`; if it has a limit, after a space `limit <bytes> `
--              and text of that length for people; if it wants a lock, these follow, each after
--              a space: what it does if another task has it ('skip', 'replace', 'debounce' or
--              'throttle'), the digest, how many ms the lock lives, for how many ms calls are
--              put off at most ('debounce'), and text for people
--              the message, as in `enqueue`; its option `u` names the lock, except for
--              'throttle': no end frees such a lock
-- Returns      for each call: 1, or the id of the task that is in its place
-- Complexity   O(calls * log delayed)
--
-- Why: docs/decisions/0131-what-is-replaced-was-still-delayed.md
local t = now()
local calls, replies, replaced, silent = {}, {}, {}, 0
local freed = {} -- keys of the second locks of tasks that end here
local wanted = {} -- key of a lock -> as this call leaves it; false: no task has it

local function lock_at(key)
  if wanted[key] == nil then
    local id, since, message = unpack(redis.call('HMGET', key, 'id', 'since', 'message'))
    wanted[key] = id and {id = id, since = tonumber(since) or t, message = message} or false
  end
  return wanted[key]
end

-- Whether the task that holds a lock is still delayed, so that another one may replace it.
local function waits(held)
  if held.call then return held.call.due > t end
  return held.message and redis.call('ZSCORE', DELAYED, held.message) and true
end

-- Ends a task that was still delayed. Only if a caller may wait for its end, it takes the way of
-- a cancelled task: a worker ends it.
local function replace(held)
  local message = held.call and held.call.message or held.message
  local _, opts = field(message)
  local is_silent = opts and string.gsub(opts, '[{,]"[plux]":[^,}]*', '') == '}'
  if held.call then held.call.is_replaced = true else replaced[#replaced + 1] = message end
  if is_silent then
    silent = silent + 1
    local id = sub(message, 14, 49)
    local _, _, flags = locks().lock_of(message)
    local own = flags and find(flags, 'i', 1, true) and UNIQUE .. id
    if own and lock_at(own) and lock_at(own).id == id then
      wanted[own] = false
      freed[#freed + 1] = own
    end
  else
    calls[#calls + 1] = {due = t, message = condemning().cancel(message, true), is_end = true}
  end
end

-- Takes the lock for a call. Returns 1, or the id of the task that has it.
local function take(call, how, digest, ttl, most, text)
  local id = sub(call.message, 14, 49)
  local _, _, flags = locks().lock_of(call.message)
  local own = flags and find(flags, 'i', 1, true) and UNIQUE .. id
  if own and lock_at(own) then return lock_at(own).id end
  local key, since = UNIQUE .. digest, t
  local held = lock_at(key)
  if held then
    local is_new = how == 'replace' or how == 'debounce'
    local is_delayed = is_new and waits(held)
    if not is_delayed and how ~= 'debounce' then return held.id end
    if is_delayed then
      replace(held)
      if how == 'debounce' then
        since = held.since
        call.due = math.min(call.due, since + most)
      end
    end
  end
  local lives = tonumber(ttl) + (how == 'throttle' and 0 or math.max(call.due - t, 0))
  local stored = (how == 'replace' or how == 'debounce') and call.due > t and call.message
  wanted[key] = {id = id, since = since, text = text, message = stored, call = call, lives = lives}
  if own then wanted[own] = {id = id, since = t, text = text, call = call, lives = lives} end
  return 1
end

for i = 1, #ARGV, 2 do
  local when, message = ARGV[i], begin_expiry(t, ARGV[i + 1])
  local limit_text
  if limits_of(message) then limit_text, when = limits().text_of(when) end
  local time, how, digest, ttl, most, text = string.match(when, '^(%S+) (%a+) (%x+) (%d+) (%d+) (.*)$')
  local due = tonumber(time or when)
  if byte(when) == 43 then due = t + due end -- 43: '+'
  local call = {due = due, message = message, limit_text = limit_text}
  local reply = how and take(call, how, digest, ttl, tonumber(most), text) or 1
  replies[#replies + 1] = reply
  call.position = #replies
  if reply == 1 then calls[#calls + 1] = call end
end

local at_once, ranked, limited, limited_messages, later = {}, {}, {}, {}, {}
for _, call in ipairs(calls) do
  if call.is_replaced then -- by a later call of these
  elseif call.due > t then
    later[#later + 1] = call
  elseif not call.is_end and limits_of(call.message) then
    limited[#limited + 1] = call
    limited_messages[#limited] = call.message
  elseif not call.is_end and arrivals().priority(call.message) then
    ranked[#ranked + 1] = call.message
  else
    at_once[#at_once + 1] = call.message
  end
end

-- These lines check the rights to all keys, and their types, before the first write. The first
-- of them fails at `maxmemory`. None changes anything.
redis.call('ZADD', DELAYED, 'XX', 0, '-')
redis.call('HDEL', UNIQUE, '')
redis.call('PEXPIRE', UNIQUE, 1)
if #ranked > 0 then arrivals().expect(ranked) end
if #limited > 0 then
  arrivals().expect(limited_messages)
  limits().expect(limited_messages)
end
if #replaced > 0 then
  redis.call('ZREM', DELAYED, '-')
  redis.call('ZREM', CANCELLED, '-')
end
if silent > 0 then redis.call('HINCRBY', STATS, 'cancelled', 0) end

local function give_back()
  for key, lock in pairs(wanted) do
    if lock and lock.lives then redis.pcall('HDEL', key, 'id', 'since', 'text', 'message') end
  end
end

local function enqueue()
  -- A later call may have taken it again, so this comes first.
  for _, key in ipairs(freed) do redis.call('HDEL', key, 'id', 'since', 'text', 'message') end
  for key, lock in pairs(wanted) do
    if lock and lock.lives then
      redis.call('HSET', key, 'id', lock.id, 'since', lock.since, 'text', lock.text)
      if lock.message then redis.call('HSET', key, 'message', lock.message) else redis.call('HDEL', key, 'message') end
      redis.call('PEXPIRE', key, lock.lives)
    end
  end
  if #at_once > 0 then redis.call('LPUSH', PENDING, unpack(at_once)) end
  for i = 1, #ranked do arrivals().arrive(ranked[i], false) end
  for i = 1, #limited do limits().wait(limited[i].message, false, limited[i].limit_text) end
  for _, message in ipairs(replaced) do
    redis.call('ZREM', DELAYED, message)
    redis.call('ZREM', CANCELLED, sub(message, 14, 49))
  end
  for _, call in ipairs(later) do
    if redis.call('ZADD', DELAYED, 'NX', call.due, call.message) == 0 then
      replies[call.position] = sub(call.message, 14, 49)
    end
  end
  if silent > 0 then redis.call('HINCRBY', STATS, 'cancelled', silent) end
  if #limited > 0 then
    limits().admit_touched(t)
    arrivals().guard_front()
  end
end

-- A lock without its task would keep later calls out.
local done, failure = pcall(enqueue)
if not done then
  give_back()
  error(failure)
end
return replies
