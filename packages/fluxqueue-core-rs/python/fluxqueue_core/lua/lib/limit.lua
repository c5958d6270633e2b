-- limit: how many tasks of a key are at work at once, and how often one begins.
--
-- Needs keys, message, prefix, arrive, limit_numbers, limit_admission, limit_times.
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

local limits_made

-- Returns the functions below, and those of the parts `limit_...`. A call makes them when it meets
-- the first message with a limit.
local function limits()
  if limits_made then return limits_made end
  local before = prefix()
  local self = {
    LIMITS = before .. 'limits',
    TAT = before .. 'limits:tat',
    TEXTS = before .. 'limits:texts',
    RULES = before .. 'limits:rules',
    LINE = before .. 'limit:line:',
    PLACES = before .. 'limit:places:',
  }
  limit_numbers(self)
  limit_admission(self)
  limit_times(self)
  local LIMITS, TAT, TEXTS, RULES = self.LIMITS, self.TAT, self.TEXTS, self.RULES
  local LINE, PLACES = self.LINE, self.PLACES
  local read, numbers_for, micros = self.read, self.numbers_for, self.micros
  -- Digests, in the order in which they were touched -> how many messages have returned to the
  -- head of the line in this call.
  local touched, order = {}, {}
  local more_in_line = 0 -- by how many messages this call has made the lines longer

  local function touch(digest)
    if touched[digest] then return end
    touched[digest] = 0
    order[#order + 1] = digest
  end

  self.touch = touch

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

  -- Rule 24: the message is in a claimed hash, so it is handed out, and pays for its rate.
  function self.handed(t, message)
    local head = read(message)
    local digest, numbers = head.digest, numbers_for(head)
    redis.call('ZADD', PLACES .. digest, t, head.field)
    if numbers.period == 0 then return end
    self.set_paid_at(digest, math.max(self.paid_at(digest), micros()) + numbers.period)
    touch(digest)
  end

  -- Admits the next messages of a key.
  local function admit_next(t, digest, returned)
    local ready, fields, due, is_all = self.choose(t, digest)
    if #ready > 0 then
      self.admit(t, digest, ready, fields, returned)
      more_in_line = more_in_line - #ready
    end
    if not due and is_all and #fields == 0 and redis.call('EXISTS', PLACES .. digest) == 0 then
      self.forget(digest)
    else
      self.look_at(digest, due)
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
