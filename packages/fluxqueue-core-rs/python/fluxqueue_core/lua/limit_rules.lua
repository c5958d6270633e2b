-- limit_rules: says how much limits allow, for all messages that name them.
--
-- KEYS         limits, limits:rules, limits:seen; the caller needs no right to others
-- ARGV 1       'declare', by a worker; its ARGV 2 is the grace (ms), then two values for each limit:
--              the digest of its name (16 hexadecimal digits) and its rule, text:
--              `<most at once>:<µs between two>:<burst> <name>`
--              'set', by an operator: the same two values for each limit
--              'clear', by an operator: digests
--              'forget', by a scheduler: for how many ms a declaration is remembered
-- Returns      for each limit one word: 'changed', 'unchanged'; 'older' (this declaration is one
--              that a newer one has replaced); 'cleared', 'absent'. For 'forget' how many rules were
--              removed
-- Complexity   O(limits * log declarations)
--
-- A rule of an operator goes before one that a worker declares, and that before the numbers of a
-- message. A change marks the name in `limits`: the next `promote` looks at all of its keys.
--
-- Why: docs/decisions/0153-a-rule-goes-before-the-numbers-of-a-message.md
local LIMITS, RULES, SEEN = KEYS[1], KEYS[2], KEYS[3]
local t = now()
local op = ARGV[1]

local function numbers(rule) return rule and string.match(rule, '^[%d:]+') end

-- The numbers that apply to the messages of a name. nil: their own.
local function applied(name)
  local found = redis.call('HMGET', RULES, 'o' .. name, 'd' .. name)
  return numbers(found[1] or found[2])
end

-- Writes or removes (nil) the rule in a field of the hash.
local function write(kind, name, rule)
  local before = applied(name)
  -- First: keys that are looked at without need cost less than some that wait for nothing.
  redis.call('ZADD', LIMITS, t, name .. ':0')
  if rule then redis.call('HSET', RULES, kind .. name, rule) else redis.call('HDEL', RULES, kind .. name) end
  if applied(name) == before then redis.call('ZREM', LIMITS, name .. ':0') end
end

local function seen(name, rule) return name .. '\0' .. rule end

-- As in `schedule`: a declaration that was there before the present one stays replaced for as long
-- as workers declare that.
local function declare(name, rule, grace)
  local old = redis.call('HGET', RULES, 'd' .. name)
  local last = tonumber(redis.call('ZSCORE', SEEN, seen(name, rule)) or '0')
  redis.call('ZADD', SEEN, t, seen(name, rule))
  if old == rule then return 'unchanged' end
  if old then
    local present = tonumber(redis.call('ZSCORE', SEEN, seen(name, old)) or '0')
    if t - last < grace and t - present < grace then return 'older' end
  end
  write('d', name, rule)
  return 'changed'
end

local reply = {}
if op == 'declare' then
  for i = 3, #ARGV, 2 do reply[#reply + 1] = declare(ARGV[i], ARGV[i + 1], tonumber(ARGV[2])) end
elseif op == 'set' then
  for i = 2, #ARGV, 2 do
    local is_same = redis.call('HGET', RULES, 'o' .. ARGV[i]) == ARGV[i + 1]
    if not is_same then write('o', ARGV[i], ARGV[i + 1]) end
    reply[#reply + 1] = is_same and 'unchanged' or 'changed'
  end
elseif op == 'clear' then
  for i = 2, #ARGV do
    local is_there = redis.call('HEXISTS', RULES, 'o' .. ARGV[i]) == 1
    if is_there then write('o', ARGV[i], nil) end
    reply[#reply + 1] = is_there and 'cleared' or 'absent'
  end
else
  redis.call('ZREMRANGEBYSCORE', SEEN, '-inf', t - tonumber(ARGV[2]))
  local rules, removed = redis.call('HGETALL', RULES), 0
  for i = 1, #rules, 2 do
    local name = string.match(rules[i], '^d(%x+)$')
    if name and not redis.call('ZSCORE', SEEN, seen(name, rules[i + 1])) then
      write('d', name, nil)
      removed = removed + 1
    end
  end
  return removed
end
return reply
