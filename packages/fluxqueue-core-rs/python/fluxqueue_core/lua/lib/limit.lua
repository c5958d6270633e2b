-- limit: how many tasks of a key are at work at once, and how often one begins.
--
-- Needs keys, clock, message, condemn, arrive.
--
-- A message names its limit in the option `l`: `<digest>:<most at once>:<µs between two>:<burst>`;
-- 0: any number, any rate. The first half of the digest is that of the limit's name. A rule for the
-- name, if there is one, replaces the numbers of all its messages.
--
--   limit:line:<digest>    the messages that wait for a place or for their time; out at the right
--   limit:places:<digest>  field -> -ms: called, waits in a list; ms: handed out
--   limits                 digest -> when to look again (ms); `<name>:<cursor>`: its rule has changed
--   limits:tat             digest -> when all that was handed out is paid for (µs)
--   limits:texts           digest -> what it stands for; exists while it has a line or places
--   limits:rules           o<name>: of an operator; d<name>: of a worker's code
--
-- Rule 23: a message gets its place before a worker can take it, because BLMOVE hands out without
-- asking. Each way out frees the place, and the script calls the next messages of the key when it
-- ends. Those called go to the end of their list, so no key delays another.
--
-- The keys are not in KEYS: they are in the hash slot of the queue.
--
-- Why: docs/decisions/0150-a-limited-task-gets-its-place-before-a-worker.md
-- Why: docs/decisions/0151-a-called-task-goes-to-the-end-of-its-list.md
-- Why: docs/decisions/0152-a-rate-is-paid-when-a-task-is-handed-out.md

-- The most that one call of a script takes from one line.
local MOST_CALLED, MOST_CALLED_BYTES = 250, 262144
-- The digests that one call of `look_again` looks at, and the texts that it passes for a rule.
local MOST_DUE, MOST_PASSED = 100, 500

local limits_made

-- Returns the functions below. A call makes them when it meets the first message with a limit.
local function limits()
  if limits_made then return limits_made end
  local self = {}
  local before = sub(PENDING, 1, -8) -- 'pending' has 7 bytes
  local LIMITS, TAT = before .. 'limits', before .. 'limits:tat'
  local TEXTS, RULES = before .. 'limits:texts', before .. 'limits:rules'
  local LINE, PLACES = before .. 'limit:line:', before .. 'limit:places:'
  -- Digests, in the order in which they were touched -> how many messages have returned to the
  -- head of the line in this call.
  local touched, order = {}, {}
  local rules = {} -- by name; false: none
  local more_in_line = 0 -- by how many messages this call has made the lines longer

  local function micros()
    local t = redis.call('TIME')
    return t[1] * 1000000 + t[2]
  end

  -- Digest, most, period and burst of a message, as its text has them. nil: no limit.
  local function read(message)
    local _, opts = field(message)
    if not opts or find(opts, '[{,]"e":') then return nil end
    return string.match(opts, '[{,]"l":"(%x+):(%d+):(%d+):(%d+)"')
  end

  -- Most, period and burst that apply.
  local function terms(digest, most, period, burst)
    local name = sub(digest, 1, 16)
    if rules[name] == nil then
      local found = redis.call('HMGET', RULES, 'o' .. name, 'd' .. name)
      rules[name] = found[1] or found[2]
    end
    local m, p, b = string.match(rules[name] or '', '^(%d+):(%d+):(%d+)')
    if m then most, period, burst = m, p, b end
    return tonumber(most), tonumber(period), math.max(tonumber(burst), 1)
  end

  local function touch(digest)
    if touched[digest] then return end
    touched[digest] = 0
    order[#order + 1] = digest
  end

  -- Fails if the keys of these messages' limits have other types, or must not be written. A script
  -- that moves several messages before it deletes them calls this first. It changes nothing.
  function self.expect(messages)
    local seen
    for i = 1, #messages do
      local digest = read(messages[i])
      if digest and not (seen and seen[digest]) then
        if not seen then
          redis.call('HDEL', TEXTS, '')
          redis.call('HDEL', TAT, '')
          redis.call('ZREM', LIMITS, '')
          redis.call('HMGET', RULES, '')
        end
        seen = seen or {}
        seen[digest] = true
        redis.call('ZREM', PLACES .. digest, '')
        redis.call('RPOP', LINE .. digest, 0)
      end
    end
  end

  -- Puts a message into its line: to the head if it `returns`. `text`: what the key stands for, if
  -- the caller knows it.
  function self.wait(message, returns, text)
    local digest = read(message)
    if text then redis.call('HSET', TEXTS, digest, text) else redis.call('HSETNX', TEXTS, digest, '') end
    touch(digest)
    more_in_line = more_in_line + 1
    if returns then
      redis.call('RPUSH', LINE .. digest, message)
      touched[digest] = touched[digest] + 1
    else
      redis.call('LPUSH', LINE .. digest, message)
    end
  end

  -- The message leaves its list or its claimed hash, under the field `f`: its place is free.
  function self.leave(message, f)
    local digest = read(message)
    if redis.call('ZREM', PLACES .. digest, f) == 1 then touch(digest) end
  end

  -- Rule 24: the message is in a claimed hash, so it is handed out, and pays for its rate.
  function self.handed(t, message)
    local digest, most, period, burst = read(message)
    redis.call('ZADD', PLACES .. digest, t, (field(message)))
    most, period, burst = terms(digest, most, period, burst)
    if period == 0 then return end
    local tat = math.max(tonumber(redis.call('HGET', TAT, digest) or '0') or 0, micros()) + period
    redis.call('HSET', TAT, digest, string.format('%.0f', tat))
    touch(digest)
  end

  -- When all that was handed out is paid for, µs. After a change of the rule, or of the clock, an
  -- old time may be too far away.
  local function paid_at(digest, period, burst, at_once)
    local tat = tonumber(redis.call('HGET', TAT, digest) or '0') or 0
    local latest = at_once + burst * period
    if tat <= latest then return tat end
    redis.call('HSET', TAT, digest, string.format('%.0f', latest))
    return latest
  end

  -- How many messages of the line's head may be called, and as what; when to look again (ms; nil:
  -- what frees a place, or is handed out, calls); whether the line ends with them.
  local function choose(t, digest)
    local ready, fields, bytes = {}, {}, 0
    local taken, reserved, tat, at_once
    while true do
      local message = redis.call('LINDEX', LINE .. digest, -1 - #ready)
      if not message then return ready, fields, nil, true end
      if #ready >= MOST_CALLED or bytes >= MOST_CALLED_BYTES then return ready, fields, t, false end
      local condemned = condemning().cancelled(condemning().expired(t, message))
      if condemned == message and read(message) then
        local _, most, period, burst = read(message)
        most, period, burst = terms(digest, most, period, burst)
        taken = taken or redis.call('ZCARD', PLACES .. digest)
        if most > 0 and taken >= most then return ready, fields, nil, false end
        if period > 0 then
          if not reserved then
            reserved = redis.call('ZCOUNT', PLACES .. digest, '-inf', -1)
            at_once = micros()
            tat = paid_at(digest, period, burst, at_once)
          end
          -- The script that hands one of those out calls again.
          if reserved >= burst then return ready, fields, nil, false end
          local at = tat + (reserved - burst + 1) * period
          if tat > at_once and at > at_once then return ready, fields, math.ceil(at / 1000), false end
          reserved = reserved + 1
        end
        taken = taken + 1
        fields[#fields + 1] = field(message)
      end
      ready[#ready + 1] = condemned
      bytes = bytes + #message
    end
  end

  -- Puts the called messages to where they wait for a worker.
  local function put(ready, returned)
    for i = #ready, 1, -1 do
      if i <= returned or not read(ready[i]) then arrivals().arrive(ready[i], true) end
    end
    for i = returned + 1, #ready do
      if read(ready[i]) then arrivals().arrive(ready[i], false, true) end
    end
  end

  -- A key with neither a line nor places leaves nothing behind, once its rate is paid for.
  local function forget(digest)
    local tat = tonumber(redis.call('HGET', TAT, digest) or '0') or 0
    if tat > micros() then
      redis.call('ZADD', LIMITS, math.ceil(tat / 1000), digest)
    else
      redis.call('HDEL', TAT, digest)
      redis.call('ZREM', LIMITS, digest)
    end
    redis.call('HDEL', TEXTS, digest)
  end

  -- Calls the next messages of a key.
  local function call(t, digest, returned)
    local ready, fields, due, is_all = choose(t, digest)
    if #ready > 0 then
      arrivals().expect(ready)
      redis.call('RPOP', LINE .. digest, 0) -- is it allowed? This removes nothing.
      local places = {}
      for i = 1, #fields do places[2 * i - 1], places[2 * i] = -t, fields[i] end
      if #fields > 0 then redis.call('ZADD', PLACES .. digest, unpack(places)) end
      local done, failure = pcall(put, ready, returned)
      if not done then
        if #fields > 0 then redis.call('ZREM', PLACES .. digest, unpack(fields)) end
        error(failure)
      end
      redis.call('RPOP', LINE .. digest, #ready)
      more_in_line = more_in_line - #ready
    end
    if due then
      redis.call('ZADD', LIMITS, due, digest)
    elseif is_all and #fields == 0 and redis.call('EXISTS', PLACES .. digest) == 0 then
      forget(digest)
    else
      redis.call('ZREM', LIMITS, digest)
    end
  end

  -- Calls the next messages of all keys that this call has touched. A script does this once its
  -- messages are at their new places.
  function self.call_touched(t)
    if any_cancelled == nil then any_cancelled = redis.call('EXISTS', CANCELLED) == 1 end
    local digests, returned = order, touched
    order, touched = {}, {}
    for i = 1, #digests do call(t, digests[i], returned[digests[i]]) end
    -- For people: the length of all lines would be one command for each key.
    if more_in_line ~= 0 then redis.call('HINCRBY', STATS, 'in_line', more_in_line) end
    more_in_line = 0
  end

  -- The rule of a name has changed: some more of its keys are due now.
  local function mark(t, member, name, cursor)
    local scanned = redis.call('HSCAN', TEXTS, cursor, 'MATCH', name .. '*', 'COUNT', MOST_PASSED)
    for i = 1, #scanned[2], 2 do redis.call('ZADD', LIMITS, t, scanned[2][i]) end
    local is_last = scanned[1] == '0'
    if not is_last then redis.call('ZADD', LIMITS, t, name .. ':' .. scanned[1]) end
    if is_last or scanned[1] ~= cursor then redis.call('ZREM', LIMITS, member) end
  end

  -- Touches the keys of which one may be called by now.
  function self.look_again(t)
    for round = 1, 2 do
      for _, member in ipairs(redis.call('ZRANGEBYSCORE', LIMITS, '-inf', t, 'LIMIT', 0, MOST_DUE)) do
        local name, cursor = string.match(member, '^(%x+):(%d+)$')
        if not name then
          touch(member)
        elseif round == 1 then
          mark(t, member, name, cursor)
        end
      end
    end
  end

  self.touch = touch

  -- A script has taken a message out of this line.
  function self.shortened(line)
    more_in_line = more_in_line - 1
    touch(sub(line, #LINE + 1))
  end

  -- The lists in which messages wait for a place. nil: they are more than `most`.
  function self.lines(most)
    if redis.call('HLEN', TEXTS) > most then return nil end
    local lines = redis.call('HKEYS', TEXTS)
    for i = 1, #lines do lines[i] = LINE .. lines[i] end
    return lines
  end

  -- When to look again, ms from now. nil: there is no such time.
  function self.next_look(t)
    local first = redis.call('ZRANGE', LIMITS, 0, 0, 'WITHSCORES')
    return first[2] and math.max(math.ceil(first[2] - t), 0)
  end

  -- Takes apart what a client says about a call: `<time> limit <bytes> <text><rest>`. Returns the
  -- text, and the time with the rest.
  function self.text_of(when)
    local time, size, rest = string.match(when, '^(%S+) limit (%d+) (.*)$')
    if not time then return nil, when end
    return sub(rest, 1, tonumber(size)), time .. sub(rest, tonumber(size) + 1)
  end

  limits_made = self
  return self
end

-- Returns the functions above if the message has a limit, else nil. A condemned message has none.
local function limits_of(message)
  if byte(message, 6) ~= 50 then return nil end -- 50: '2', a message with options
  local _, opts = field(message)
  if not opts or not find(opts, '[{,]"l":"%x+:%d+:%d+:%d+"') or find(opts, '[{,]"e":') then return nil end
  return limits()
end

-- The one way of a message to where it waits: into the line of its limit; otherwise to where the
-- next worker claims it. Call this for a message that has a limit or a priority, or that `returns`.
local function arrive(message, returns)
  local limited = limits_of(message)
  if limited then limited.wait(message, returns) else arrivals().arrive(message, returns) end
end
