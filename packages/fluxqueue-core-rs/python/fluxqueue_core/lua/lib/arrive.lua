-- arrive: the way of a message to where the next worker claims it.
--
-- Needs keys, clock, message.
--
-- A message with a priority waits in the zset `prioritized`, from which BLMOVE can't take.
-- So while the zset has messages, one with a priority is at the head of `pending` (its
-- right end): then no worker blocks. The worker that takes it by BLMOVE sends an exchange
-- at once, and each exchange ends with `guard`, which puts the next one there.
--
-- Why: docs/decisions/0102-a-prioritized-message-at-the-head.md

local arrivals_made

-- Returns the functions below. A call makes them when it needs the first of them: a plain
-- exchange needs none, and a function costs it as much as a command of Redis.
local function arrivals()
  if arrivals_made then return arrivals_made end
  local self = {has_ranked = false} -- whether this call has put a message into the zset
  -- The head of `pending`, if it has a priority; false if it has none; nil if this call does
  -- not know.
  local head

  -- The priority of a message, 1 to 9. nil if it has none.
  local function priority(message)
    if byte(message, 6) ~= 50 then return nil end -- 50: '2'
    local _, opts = field(message)
    return opts and tonumber(string.match(opts, '[{,]"p":([1-9])[,}]'))
  end

  local function find_head()
    if head == nil then
      local message = redis.call('LINDEX', PENDING, -1)
      head = message and priority(message) and message or false
    end
    return head
  end

  -- Puts a message into the zset: by its priority, then by the time in its id. An id without
  -- a time, or with one in the future, is ordered by its arrival; before all others of its
  -- priority if it returns; and so is one that `is_last`. Returns false if the zset has the same
  -- bytes.
  local function rank(message, returns, is_last)
    self.has_ranked = true
    local t = now()
    -- 55: '7', the version of a UUID that begins with a time.
    local ms = byte(message, 28) == 55 and tonumber(sub(message, 14, 21) .. sub(message, 23, 26), 16)
    if is_last or not ms or ms > t then ms = returns and 0 or t end
    return redis.call('ZADD', PRIORITIZED, 'NX', (9 - priority(message)) * 1e13 + ms, message) == 1
  end

  -- The head of `pending` returns to the zset: what comes next would hide it.
  local function return_head()
    if find_head() and rank(head, true) then redis.call('RPOP', PENDING) end
    head = false
  end

  self.priority, self.return_head = priority, return_head

  -- Puts a message to the front of a list. One with a priority at the head of `pending` must
  -- not end up behind it: the claim would not find it in its order.
  function self.push_front(list, message)
    if list == PENDING then
      return_head()
      head = priority(message) and message or false
    end
    redis.call('RPUSH', list, message)
  end

  -- Fails if one of the messages can't arrive. A script that moves several before it deletes
  -- them calls this first: an error halfway would leave copies. XX adds nothing.
  function self.expect(messages)
    for i = 1, #messages do
      if priority(messages[i]) then
        redis.call('ZADD', PRIORITIZED, 'XX', 0, '-')
        return
      end
    end
  end

  -- Puts a message that has a priority, or that `returns`, to where it waits: into the zset,
  -- or to the front of its list. `is_last`: to the end, behind all that wait there.
  function self.arrive(message, returns, is_last)
    local list = home(message)
    if list == PENDING and priority(message) then
      if not find_head() then
        redis.call('RPUSH', PENDING, message)
        head = message
      elseif not rank(message, returns, is_last) then
        redis.call('RPUSH', PENDING, message) -- a duplicate, which the claim parks
        head = message
      end
    elseif is_last then
      redis.call('LPUSH', list, message)
    else
      self.push_front(list, message)
    end
  end

  -- Puts the best message of the zset at the head of `pending`, unless one with a priority is
  -- there. The right to the last command is checked before the first write. A queue without
  -- priorities needs no right but to EXISTS.
  function self.guard()
    if redis.call('EXISTS', PRIORITIZED) == 0 or find_head() then return end
    local best = redis.call('ZRANGE', PRIORITIZED, 0, 0)[1]
    redis.call('ZREMRANGEBYRANK', PRIORITIZED, 1, 0) -- is it allowed? This removes nothing.
    redis.call('RPUSH', PENDING, best)
    redis.call('ZREMRANGEBYRANK', PRIORITIZED, 0, 0)
    head = best
  end

  -- `guard`, at no cost if no message has come to the front of `pending`.
  function self.guard_front()
    if head == false then self.guard() end
  end

  -- Before a claim from `pending`: all with priorities go into the zset. Then checks that the
  -- commands are allowed by which messages leave and return; these change nothing.
  function self.begin_claim()
    return_head()
    redis.call('ZADD', PRIORITIZED, 'XX', 0, '-')
    redis.call('RPOP', PENDING, 0)
    head = nil -- the claim may take it
  end

  -- After a claim from `pending`, which may have taken its head.
  function self.claimed() head = nil end

  -- Takes the next messages with priorities, if there are any.
  function self.take(count)
    local best = redis.call('ZRANGE', PRIORITIZED, 0, count - 1)
    if #best == 0 then return nil end
    redis.call('ZREMRANGEBYRANK', PRIORITIZED, 0, #best - 1)
    return best
  end

  -- Returns those of a claim's last batch that were too many, from number `from` on.
  function self.put_back(batch, from)
    for i = from, #batch do rank(batch[i], true) end
  end

  arrivals_made = self
  return self
end

