-- search: looks through a part of the tasks that wait, that a worker has or that are dead, and
-- returns those that match. It writes nothing.
--
-- ARGV 1       'pending', 'suspects', 'limit:line:<digest>', 'prioritized', 'delayed', 'dead' or
--              'claimed:<c>'
--      2       how many tasks to look at, at most; the script stops earlier at about 1 MiB
--      3       how many tasks to return, at most
--      4..6    where the last call has ended (passed, score, mark); 0, '' and '' to begin
--      7..     criteria, all of which a task must meet: 'm' for its message, 'r' for its reason or
--              'b' for both; how many texts follow; texts, one of which must be in it. Or 'g', how many
--              follow, and digests of groups of dead tasks: it looks at tasks of these groups only
-- Returns      {looked, passed, score, mark, match...}: how many tasks it has looked at, where it
--              has ended (passed is -1 at the end), and for each match {score, bytes of the
--              message, message, reason, entry}; message and reason are cut at 16 KiB
-- Complexity   O(tasks looked at + log of all)
--
-- The tasks of a list come in the order in which workers take them, dead ones from the youngest on.
-- A call goes on behind the task that `mark` names, wherever that has moved: the id in a list or a
-- set, the entry in the dead set, the field in a claimed hash. `passed` says about where it is: how
-- many tasks of the list, or of this score in the set, come before the next one.
local where, most_looked, most_found = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local passed, score, mark = tonumber(ARGV[4]), ARGV[5], ARGV[6]
local own = prefix()
local key = own .. where
local SHORT, MOST_BYTES = 16384, 1048576
-- Elements around the expected index in which the mark is looked for.
local NEAR = 20
-- In front of a score: without that score.
local BEYOND = '\40' -- an opening parenthesis
-- Elements read at once: few while they may be large.
local FEW, MANY = 8, 128

local criteria, reads, groups = {}, {}, nil
do
  local at = 7
  while ARGV[at] do
    local criterion = {of = ARGV[at]}
    for i = 1, tonumber(ARGV[at + 1]) do criterion[i] = ARGV[at + 1 + i] end
    if criterion.of == 'g' then
      groups = criterion
    else
      criteria[#criteria + 1] = criterion
      reads.m = reads.m or criterion.of ~= 'r'
      reads.r = reads.r or criterion.of ~= 'm'
    end
    at = at + 2 + #criterion
  end
end

local looked, bytes, step, found = 0, 0, FEW, {}

local function is_full() return looked >= most_looked or #found >= most_found or bytes >= MOST_BYTES end

local function is_met(criterion, message, reason)
  for i = 1, #criterion do
    if criterion.of ~= 'r' and find(message, criterion[i], 1, true) then return true end
    if criterion.of ~= 'm' and find(reason, criterion[i], 1, true) then return true end
  end
  return false
end

local function look(message, reason)
  looked, bytes = looked + 1, bytes + #message + #reason
  for i = 1, #criteria do
    if not is_met(criteria[i], message, reason) then return false end
  end
  return true
end

local function add(at, message, reason, entry)
  found[#found + 1] = {at, #message, sub(message, 1, SHORT), sub(reason, 1, SHORT), entry}
end

local function next_step() step = bytes > looked * 4096 and FEW or math.min(2 * step, MANY) end

local function through_list()
  local length = redis.call('LLEN', key)
  local at = length - passed - 1
  if mark ~= '' then
    local low = math.max(0, at + 1 - NEAR)
    local near = redis.call('LRANGE', key, low, at + 1 + NEAR)
    for i = #near, 1, -1 do
      if sub(near[i], 14, 49) == mark then
        at = low + i - 2
        break
      end
    end
  end
  while at >= 0 and not is_full() do
    local messages = redis.call('LRANGE', key, math.max(0, at - step + 1), at)
    for i = #messages, 1, -1 do
      if is_full() then break end
      if look(messages[i], '') then add('', messages[i], '', '') end
      mark, at = sub(messages[i], 14, 49), at - 1
    end
    next_step()
  end
  return at >= 0 and length - at - 1 or -1
end

-- The ranks of the next element, and of the first one of its score.
local function begin_in_set()
  if mark == '' then return 0, 0 end
  if where == 'dead' then
    local rank = redis.call('ZREVRANK', key, mark)
    local first = redis.call('ZCOUNT', key, BEYOND .. score, '+inf')
    return rank and rank + 1 or first, first
  end
  local first = redis.call('ZCOUNT', key, '-inf', BEYOND .. score)
  local low = math.max(first, first + passed - 1 - NEAR)
  local near = redis.call('ZRANGE', key, low, first + passed - 1 + NEAR)
  for i = 1, #near do
    if sub(near[i], 14, 49) == mark then return low + i, first end
  end
  return first, first
end

-- Returns what returns the names of the next dead tasks. Without scores: to write one takes Redis longer
-- than to compare a message.
local function all_dead()
  local at = begin_in_set()
  return function(size)
    local names = redis.call('ZRANGE', key, at, at + size - 1, 'REV')
    at = at + #names
    return names
  end
end

-- The same for tasks of the groups, in the order of the dead set: so a cursor leads on with and without
-- groups.
local function grouped_dead()
  local first, sources = begin_in_set(), {}

  local function advance(source)
    repeat
      if source.read == #source.names then
        source.names, source.read = redis.call('ZRANGE', source.key, source.at, source.at + step - 1, 'REV'), 0
      end
      source.read, source.at = source.read + 1, source.at + 1
      source.name = source.names[source.read]
      -- A release without groups leaves those that it removes from the dead set in their groups.
      source.rank = source.name and redis.call('ZREVRANK', key, source.name)
    until not source.name or source.rank and source.rank >= first
  end

  for i = 1, #groups do
    local source = {key = own .. 'dead:group:' .. groups[i], names = {}, read = 0, at = 0}
    if mark ~= '' then source.at = redis.call('ZCOUNT', source.key, BEYOND .. score, '+inf') end
    advance(source)
    sources[i] = source
  end
  return function(size)
    local names = {}
    while #names < size do
      local youngest
      for i = 1, #sources do
        local source = sources[i]
        if source.name and (not youngest or source.rank < youngest.rank) then youngest = source end
      end
      if not youngest then break end
      names[#names + 1] = youngest.name
      advance(youngest)
    end
    return names
  end
end

local function through_dead()
  local following, is_left = groups and grouped_dead() or all_dead(), false
  while not is_full() do
    local names = following(step)
    if #names == 0 then break end
    local messages = reads.m and redis.call('HMGET', DEAD_MESSAGES, unpack(names)) or {}
    local reasons = reads.r and redis.call('HMGET', DEAD_REASONS, unpack(names)) or {}
    for i = 1, #names do
      is_left = is_full()
      if is_left then break end
      local message, reason = messages[i] or '', reasons[i] or ''
      if look(message, reason) then
        if not reads.m then message = redis.call('HGET', DEAD_MESSAGES, names[i]) or '' end
        if not reads.r then reason = redis.call('HGET', DEAD_REASONS, names[i]) or '' end
        add(redis.call('ZSCORE', key, names[i]), message, reason, names[i])
      end
      mark = names[i]
    end
    next_step()
  end
  score = mark ~= '' and redis.call('ZSCORE', key, mark) or score
  return (is_left or #following(1) > 0) and 1 or -1
end

local function through_set()
  local at, first = begin_in_set()
  while not is_full() do
    local flat = redis.call('ZRANGE', key, at, at + step - 1, 'WITHSCORES')
    if #flat == 0 then break end
    for i = 1, #flat, 2 do
      if is_full() then break end
      if look(flat[i], '') then add(flat[i + 1], flat[i], '', '') end
      if flat[i + 1] ~= score then first, score = at, flat[i + 1] end
      mark, at = sub(flat[i], 14, 49), at + 1
    end
    next_step()
  end
  return at < redis.call('ZCARD', key) and at - first or -1
end

-- A consumer holds few tasks, so that this reads them all.
local function through_claimed()
  local fields, messages, cursor = {}, {}, '0'
  repeat
    local reply = redis.call('HSCAN', key, cursor, 'COUNT', 1000)
    cursor = reply[1]
    for i = 1, #reply[2], 2 do
      local name = reply[2][i]
      if not messages[name] then fields[#fields + 1] = name end
      messages[name] = reply[2][i + 1]
    end
  until cursor == '0'
  for i, message in ipairs(redis.call('LRANGE', own .. 'inbox:' .. sub(where, 9), 0, -1)) do
    fields[#fields + 1], messages['inbox ' .. i] = 'inbox ' .. i, message
  end
  table.sort(fields)
  for _, name in ipairs(fields) do
    if mark == '' or name > mark then
      if is_full() then return 1 end
      if look(messages[name], '') then add('', messages[name], '', '') end
      mark = name
    end
  end
  return -1
end

if sub(where, 1, 8) == 'claimed:' then
  passed = through_claimed()
elseif where == 'dead' then
  passed = through_dead()
elseif where == 'delayed' or where == 'prioritized' then
  passed = through_set()
else
  passed = through_list()
end
return {looked, passed, score, mark, unpack(found)}
