-- limit_numbers: what a message says about its limit, the numbers that apply, and the paid rate.
--
-- Needs message.
--
-- `lib/limit.lua` describes the messages and the keys.

-- Adds these functions to those of `limits()`.
local function limit_numbers(self)
  local TAT, RULES = self.TAT, self.RULES
  local heads = {} -- by message; false: it has no limit
  local rules = {} -- by name; false: none
  local paid = {} -- by digest: when all that was handed out is paid for (µs)
  local at_once -- the time of this call (µs)

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

  -- The numbers that apply to a message, and whether they are those of a rule, which applies to
  -- all of its line.
  local function numbers_for(head)
    local name = sub(head.digest, 1, 16)
    if rules[name] == nil then
      local found = redis.call('HMGET', RULES, 'o' .. name, 'd' .. name)
      local most, period, burst = string.match(found[1] or found[2] or '', '^(%d+):(%d+):(%d+)')
      rules[name] = most and numbers_of(most, period, burst) or false
    end
    if rules[name] then return rules[name], true end
    return numbers_of(head.most, head.period, head.burst), false
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

  -- Takes apart what a client says about a call: `<time> limit <bytes> <text><rest>`. Returns the
  -- text, and the time with the rest.
  function self.text_of(when)
    local time, size, rest = string.match(when, '^(%S+) limit (%d+) (.*)$')
    if not time then return nil, when end
    return sub(rest, 1, tonumber(size)), time .. sub(rest, tonumber(size) + 1)
  end

  self.micros, self.read, self.numbers_for = micros, read, numbers_for
  self.paid_at, self.set_paid_at = paid_at, set_paid_at
end
