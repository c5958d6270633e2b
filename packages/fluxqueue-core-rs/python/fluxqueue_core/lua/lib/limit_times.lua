-- limit_times: when a scheduler looks at a key of a limit again.
--
-- Needs limit_numbers.
--
-- A rate makes a message wait for a time, and no end of a task would admit it then. So its key is in
-- the zset `limits`, and so is that of a rate that is not paid for yet.

-- The digests that one call of `look_again` looks at, and the texts that it passes for a rule.
local MOST_DUE, MOST_PASSED = 100, 500

-- Adds these functions to those of `limits()`.
local function limit_times(self)
  local LIMITS, TAT, TEXTS = self.LIMITS, self.TAT, self.TEXTS
  local paid_at, micros = self.paid_at, self.micros
  local has_due -- whether `limits` may have members; nil: this call does not know yet

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
          self.touch(member)
        elseif round == 1 then
          mark(t, member, name, cursor)
        end
      end
    end
  end

  -- When to look again, ms from now. nil: there is no such time.
  function self.next_look(t)
    local first = redis.call('ZRANGE', LIMITS, 0, 0, 'WITHSCORES')
    return first[2] and math.max(math.ceil(first[2] - t), 0)
  end

  self.look_at, self.forget = look_at, forget
end
