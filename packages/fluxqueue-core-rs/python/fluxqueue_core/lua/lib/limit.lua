-- limit: how many tasks of a key are at work at once, and how often one begins.
--
-- Needs keys, clock, message, prefix, condemn, arrive.
--
-- A message names its limit in the option `l`: `<digest>:<most at once>:<µs between two>:<burst>`;
-- 0: any number, any rate. The first half of the digest is that of the limit's name. A rule for the
-- name, if there is one, replaces the numbers of all its messages.
--
--   limit:line:<digest>    the messages that wait for a place or for their time; out at the right
--   limit:places:<digest>  field -> -ms: admitted, waits in a list; ms: handed out
--   limits                 digest -> when to look again (ms); `<name>:<cursor>`: its rule has changed
--   limits:tat             digest -> when all that was handed out is paid for (µs)
--   limits:texts           digest -> what it stands for; exists while it has a line or places
--   limits:rules           o<name>: of an operator; d<name>: of a worker's code
--
-- Rule 23: a message gets its place before a worker can take it, because BLMOVE hands out without
-- asking. Each way out frees the place, and the script admits the next messages of the key when it
-- ends. They go to the end of their list, so no key delays another.
--
-- The keys are not in KEYS: they are in the hash slot of the queue.
--
-- Why: docs/decisions/0150-a-limited-task-gets-its-place-before-a-worker.md
-- Why: docs/decisions/0151-an-admitted-task-goes-to-the-end-of-its-list.md
-- Why: docs/decisions/0152-a-rate-is-paid-when-a-task-is-handed-out.md

-- The most that one call of a script takes from one line.
local MOST_ADMITTED, MOST_ADMITTED_BYTES = 250, 262144
-- The digests that one call of `look_again` looks at, and the texts that it passes for a rule.
local MOST_DUE, MOST_PASSED = 100, 500

local limits_made

-- Returns the functions below. A call makes them when it meets the first message with a limit.
local function limits()
  if limits_made then return limits_made end
  local self = {}
  local before = prefix()
  local LIMITS, TAT = before .. 'limits', before .. 'limits:tat'
  local TEXTS, RULES = before .. 'limits:texts', before .. 'limits:rules'
  local LINE, PLACES = before .. 'limit:line:', before .. 'limit:places:'
  -- Digests, in the order in which they were touched -> how many messages have returned to the
  -- head of the line in this call.
  local touched, order = {}, {}
  local heads = {} -- by message; false: it has no limit
  local rules = {} -- by name; false: none
  local paid = {} -- by digest: when all that was handed out is paid for (µs)
  local has_due -- whether `limits` may have members; nil: this call does not know yet
  local at_once -- the time of this call (µs)
  local more_in_line = 0 -- by how many messages this call has made the lines longer

  local function micros()
    if not at_once then
      local t = redis.call('TIME')
      at_once = t[1] * 1000000 + t[2]
    end
    return at_once
  end

  local function numbers_of(most, period, burst)
    return {most = tonumber(most), period = tonumber(period), burst = math.max(tonumber(burst), 1)}
  end

  -- The parts of a message that the functions below need: they look at them several times. false:
  -- it has no limit, or it is condemned.
  local function read(message)
    local head = heads[message]
    if head ~= nil then return head end
    head = false
    local f, opts = field(message)
    if opts and not find(opts, '[{,]"e":') then
      local digest, most, period, burst = string.match(opts, '[{,]"l":"(%x+):(%d+):(%d+):(%d+)"')
      if digest then
        head = {digest = digest, field = f, most = most, period = period, burst = burst}
        head.may_expire, head.is_ranked = find(opts, '"x":', 1, true), find(opts, '"p":', 1, true)
      end
    end
    heads[message] = head
    return head
  end

  self.read = read

  -- The numbers that apply to a message, and whether they are those of a rule, which applies to
  -- all of its line.
  local function terms(head)
    local name = sub(head.digest, 1, 16)
    if rules[name] == nil then
      local found = redis.call('HMGET', RULES, 'o' .. name, 'd' .. name)
      local most, period, burst = string.match(found[1] or found[2] or '', '^(%d+):(%d+):(%d+)')
      rules[name] = most and numbers_of(most, period, burst) or false
    end
    if rules[name] then return rules[name], true end
    return numbers_of(head.most, head.period, head.burst), false
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
      local head = read(messages[i])
      if head and not (seen and seen[head.digest]) then
        if not seen then
          redis.call('HDEL', TEXTS, '')
          redis.call('HDEL', TAT, '')
          redis.call('ZREM', LIMITS, '')
          redis.call('HMGET', RULES, '')
          redis.call('LMOVE', LINE, PENDING, 'RIGHT', 'LEFT') -- no list has this name
        end
        seen = seen or {}
        seen[head.digest] = true
        redis.call('ZREM', PLACES .. head.digest, '')
        redis.call('RPOP', LINE .. head.digest, 0)
      end
    end
  end

  -- Puts a message into its line: to the head if it `returns`. `text`: what the key stands for, if
  -- the caller knows it.
  function self.wait(message, returns, text)
    local digest = read(message).digest
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
    local digest = read(message).digest
    if redis.call('ZREM', PLACES .. digest, f) == 1 then touch(digest) end
  end

  -- When all that was handed out is paid for (µs).
  local function paid_at(digest)
    paid[digest] = paid[digest] or tonumber(redis.call('HGET', TAT, digest) or '0') or 0
    return paid[digest]
  end

  local function set_paid_at(digest, tat)
    paid[digest] = tat
    redis.call('HSET', TAT, digest, string.format('%.0f', tat))
  end

  -- Rule 24: the message is in a claimed hash, so it is handed out, and pays for its rate.
  function self.handed(t, message)
    local head = read(message)
    local digest, numbers = head.digest, terms(head)
    redis.call('ZADD', PLACES .. digest, t, head.field)
    if numbers.period == 0 then return end
    set_paid_at(digest, math.max(paid_at(digest), micros()) + numbers.period)
    touch(digest)
  end

  -- The message, condemned if it has expired or its task is cancelled.
  local function condemned(t, message, head)
    if head and not head.may_expire and not any_cancelled then return message end
    return condemning().cancelled(condemning().expired(t, message))
  end

  -- Whether no more may be admitted until one has left, or a reserved one has paid: the script that
  -- does this admits again.
  local function is_full(numbers, taken, reserved)
    return numbers.most > 0 and taken >= numbers.most or numbers.period > 0 and reserved >= numbers.burst
  end

  -- Which messages of the line's head may be admitted, condemned or not; their fields; when to look
  -- again (ms; nil: what frees a place, or is handed out, admits); whether the line ends with them.
  local function choose(t, digest)
    local ready, fields, bytes = {}, {}, 0
    local taken, reserved
    while true do
      local message = redis.call('LINDEX', LINE .. digest, -1 - #ready)
      if not message then return ready, fields, nil, true end
      if #ready >= MOST_ADMITTED or bytes >= MOST_ADMITTED_BYTES then return ready, fields, t, false end
      local head = read(message)
      local as, is_last = condemned(t, message, head), false
      if head and as == message then
        local numbers, is_rule = terms(head)
        local period = numbers.period
        taken = taken or numbers.most > 0 and redis.call('ZCARD', PLACES .. digest) + #fields
        if period > 0 and not reserved then
          reserved = redis.call('ZCOUNT', PLACES .. digest, '-inf', -1) + #fields
          -- After a change of the rule, or of the clock, an old time may be too far away.
          local latest = micros() + numbers.burst * period
          if paid_at(digest) > latest then set_paid_at(digest, latest) end
        end
        if is_full(numbers, taken, reserved) then return ready, fields, nil, false end
        if period > 0 then
          local tat = paid_at(digest)
          local at = tat + (reserved - numbers.burst + 1) * period
          if tat > micros() and at > micros() then return ready, fields, math.ceil(at / 1000), false end
          reserved = reserved + 1
        end
        taken = taken and taken + 1
        fields[#fields + 1] = head.field
        is_last = is_rule and is_full(numbers, taken, reserved)
      end
      ready[#ready + 1], bytes = as, bytes + #message
      if is_last then return ready, fields, nil, false end
    end
  end

  -- Puts the admitted messages where they wait for a worker, before they leave the line. Those
  -- that have returned go to the front, and so do the condemned ones, which hold no place.
  local function put(ready, returned)
    for i = #ready, 1, -1 do
      if i <= returned or not read(ready[i]) then arrivals().arrive(ready[i], true) end
    end
    for i = returned + 1, #ready do
      if read(ready[i]) then arrivals().arrive(ready[i], false, true) end
    end
  end

  -- Moves the admitted messages out of the line, if all of them go to the end of their list. Returns
  -- how many have moved, and why not all.
  local function move(line, ready)
    for i = 1, #ready do
      local reply = redis.pcall('LMOVE', line, home(ready[i]), 'RIGHT', 'LEFT')
      if type(reply) == 'table' then return i - 1, reply.err end
    end
    return #ready, nil
  end

  -- Whether all of them do.
  local function are_usual(ready, fields, returned)
    if returned > 0 or #fields < #ready then return false end
    for i = 1, #ready do
      if read(ready[i]).is_ranked then return false end
    end
    return true
  end

  -- Admits these messages, each with its place.
  local function admit(t, digest, ready, fields, returned)
    local line, places, is_usual = LINE .. digest, PLACES .. digest, are_usual(ready, fields, returned)
    if not is_usual then
      arrivals().expect(ready)
      redis.call('RPOP', line, 0) -- is it allowed? This removes nothing.
    end
    local scores = {}
    for i = 1, #fields do scores[2 * i - 1], scores[2 * i] = -t, fields[i] end
    if #fields > 0 then redis.call('ZADD', places, unpack(scores)) end
    local gone, failure = 0, nil
    if is_usual then
      gone, failure = move(line, ready)
    else
      local is_done, why = pcall(put, ready, returned)
      if is_done then redis.call('RPOP', line, #ready) else failure = why end
    end
    if failure then
      if #fields > gone then redis.call('ZREM', places, unpack(fields, gone + 1)) end
      error(failure)
    end
    more_in_line = more_in_line - #ready
  end

  -- Looks at a key at this time (ms); nil: not before it is touched.
  local function look_at(digest, due)
    if has_due == nil then has_due = redis.call('EXISTS', LIMITS) == 1 end
    if due then
      redis.call('ZADD', LIMITS, due, digest)
      has_due = true
    elseif has_due then
      redis.call('ZREM', LIMITS, digest)
    end
  end

  -- A key with neither a line nor places leaves nothing behind, once its rate is paid for.
  local function forget(digest)
    local is_paid = paid_at(digest) <= micros()
    if is_paid then redis.call('HDEL', TAT, digest) end
    look_at(digest, not is_paid and math.ceil(paid_at(digest) / 1000))
    redis.call('HDEL', TEXTS, digest)
  end

  -- Admits the next messages of a key.
  local function admit_next(t, digest, returned)
    local ready, fields, due, is_all = choose(t, digest)
    if #ready > 0 then admit(t, digest, ready, fields, returned) end
    if not due and is_all and #fields == 0 and redis.call('EXISTS', PLACES .. digest) == 0 then
      forget(digest)
    else
      look_at(digest, due)
    end
  end

  -- Admits the next messages of all keys that this call has touched. A script does this once its
  -- messages are at their new places.
  function self.admit_touched(t)
    if any_cancelled == nil then any_cancelled = redis.call('EXISTS', CANCELLED) == 1 end
    local digests, returned = order, touched
    order, touched = {}, {}
    for i = 1, #digests do admit_next(t, digests[i], returned[digests[i]]) end
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

  -- Touches the keys of which one may be admitted by now.
  function self.look_again(t)
    has_due = true
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
  if not limits_made then
    local _, opts = field(message)
    if not opts or not find(opts, '"l":', 1, true) then return nil end
  end
  return limits().read(message) and limits_made or nil
end

-- The one way of a message to where it waits: into the line of its limit; otherwise to where the
-- next worker claims it. Call this for a message that has a limit or a priority, or that `returns`.
local function arrive(message, returns)
  local limited = limits_of(message)
  if limited then limited.wait(message, returns) else arrivals().arrive(message, returns) end
end
