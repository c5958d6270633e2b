-- tick: enqueues the runs of periodic tasks that are due.
--
-- KEYS         the keys of the queue, then those of its periodic tasks
-- ARGV 1       the time (ms) of the last reply that the caller has read; 0: there is none
--      2       the time (ms) by which the caller has planned; if it is ahead of Redis, nothing
--              happens: moments that are still to come could count as missed
--      3...    the periodic tasks that are due, at most 1,000, in groups to which the same
--              happens. Five values for each group:
--              the moment (ms), as the caller has read it; '' for a run by hand
--              the next moment (ms); '' if there is none
--              until when the runs may begin (ms); '' without a limit
--              what happens now, in words with a space between: 'r<ms>+<delay>' a run of this
--              moment, with a delay in ms; 'm<ms>' this moment was missed, and others since
--              then, up to the next word; 'h<task id>' a run by hand
--              the number of periodic tasks in the group; then two values for each:
--              its id
--              the digest of its record, as the caller has read it
-- Returns      {now, ids of periodic tasks that have changed since ARGV 1, {id, moment...} of
--              those that are not as the caller has read them, or whose message is lost; '' for
--              no moment, ids of those of which no run began by hand, because the last one has not
--              ended, how many notes wait to be filed into the histories}
-- Complexity   O(runs + changes + log periodic tasks)
--
-- Each moment comes once, with any number of schedulers: only the call that finds it as the
-- next one enqueues the run, and it writes the moment that follows. The clock of Redis says
-- whether the moment has come. A run whose message has a lock takes it; while another run has
-- it, the moment is skipped. A task that a call has scheduled is removed with its last moment.
--
-- A command for many periodic tasks costs a third of a command for each, so all are read at once,
-- and the values that a group shares are computed once. To write the histories would take a third
-- of the time, so a call with periodic tasks only notes what happened, and one without any files
-- notes.
--
-- Why: docs/decisions/0141-each-moment-once-without-a-leader.md
-- Why: docs/decisions/0160-many-entries-of-one-moment-in-one-call.md
-- Why: docs/decisions/0161-a-run-holds-a-lock-if-runs-may-not-overlap.md

-- The bytes in front of a message (see lib/periodic_keys.lua), and how those begin that this release
-- knows.
local HEAD = 26
local STARTS = {['{"v":1,"id":"'] = true, ['{"v":2,"id":"'] = true}
-- If more notes than these wait, schedulers are too busy to file them, so each call files some.
local MOST_NOTES = 10000

local t = now()
local changed = {}
if ARGV[1] ~= '0' then changed = redis.call('ZRANGEBYSCORE', PERIODIC_CHANGED, ARGV[1], '+inf') end

local is_ahead = tonumber(ARGV[2] or 0) > t

-- The words of a group's runs in the history, the newest first. `skipped`: the places of those that
-- were skipped.
local function words_of(group, skipped)
  local words = ''
  for i = 1, #group.runs do
    local run = group.runs[i]
    words = (run.missed or skipped[i] and run.skipped or run.began) .. ' ' .. words
  end
  return words
end

-- Reads what is the same for each task of a group. A run has `id`, the start of its task's id, which
-- the template continues at its byte `rest`; `due`; and its words in the history.
local function read_group(at)
  local group = {due = ARGV[at], following = ARGV[at + 1], limit = ARGV[at + 2], runs = {}}
  group.is_due = not is_ahead and (group.due == '' or tonumber(group.due) <= t)
  for kind, moment, more in string.gmatch(ARGV[at + 3], '(%l)([%x-]+)%+?(%d*)') do
    local run = {kind = kind}
    if kind == 'm' then
      run.missed = moment .. ':0:m'
    elseif kind == 'h' then
      run.id, run.rest, run.due = moment, 50, t
      run.began, run.skipped = string.format('%.0f:0:h', t), string.format('%.0f:0:s', t)
    else
      local ms = tonumber(moment)
      run.id, run.rest = string.format('%08x-%04x', math.floor(ms / 65536), ms % 65536), 27
      run.due = ms + (tonumber(more) or 0)
      local past = string.format('%.0f:%.0f:', ms, t - ms)
      run.began, run.skipped = past .. 'r', past .. 's'
    end
    group.runs[#group.runs + 1] = run
  end
  group.words = words_of(group, {})
  return group
end

local ids, digests, groups = {}, {}, {}
local at = 3
while at <= #ARGV do
  local group, stop = read_group(at), at + 4 + 2 * ARGV[at + 4]
  for i = at + 5, stop, 2 do
    local n = #ids + 1
    ids[n], digests[n], groups[n] = ARGV[i], ARGV[i + 1], group
  end
  at = stop + 1
end
if #ids == 0 then return {t, changed, {}, {}, file_notes()} end

local templates = redis.call('HMGET', PERIODIC_MESSAGES, unpack(ids))
local moments = redis.call('ZMSCORE', PERIODIC_DUE, unpack(ids))

-- Keys of locks. `held`: whether a run has it; `taken`: what this call writes.
local unique = prefix() .. 'unique:'
local held, taken = {}, {}

-- Whether a run may begin: it takes its lock, unless another run has it. An error at a lock stops
-- no run.
local function take(periodic, message, due)
  local digest, ttl = locks().lock_of(message)
  if not digest then return true end
  local key = unique .. digest
  if held[key] == nil then held[key] = type(redis.pcall('HGET', key, 'id')) == 'string' end
  if held[key] then return false end
  held[key] = true
  taken[#taken + 1] = {key, sub(message, 14, 49), periodic, ttl + math.max(due - t, 0)}
  return true
end

local at_once, ranked, limited, later = {}, {}, {}, {}

-- The heads of messages, without the digest: many are the same.
local heads = {}
local function read_head(text)
  local head = {
    is_call = byte(text, 1) == 115, -- 115: 's', scheduled by a call
    is_special = byte(text, 2) == 49, -- 49: '1'
    from = tonumber(sub(text, 3, 6)),
    to = tonumber(sub(text, 7, 10)),
  }
  heads[text] = head
  return head
end

-- Prepares a run; returns false if it is skipped. It makes as few strings as it can: Lua hashes
-- each byte of each string.
local function begin(periodic, template, head, start, run, limit)
  local message
  if limit ~= '' and head.from > 0 then
    message = start
      .. run.id
      .. sub(template, HEAD + run.rest, HEAD + head.from - 1)
      .. limit
      .. sub(template, HEAD + 1 + head.to)
  else
    message = start .. run.id .. sub(template, HEAD + run.rest)
  end
  local is_special = head.is_special
  if is_special and not take(periodic, message, run.due) then return false end
  if run.due > t then
    later[#later + 1] = {run.due, message}
  elseif is_special and limits_of(message) then
    limited[#limited + 1] = message
  elseif is_special and arrivals().priority(message) then
    ranked[#ranked + 1] = message
  else
    at_once[#at_once + 1] = message
  end
  return true
end

local dues, ended, gone, differing, busy = {}, {}, {}, {}, {}
-- Ids by what happened to them, and those that run by hand.
local noted, by_hand, by_hand_words = {}, {}, {}
for n = 1, #ids do
  local id, group = ids[n], groups[n]
  local template = templates[n]
  local is_due = group.is_due and (group.due == '' or moments[n] == group.due)
  local start = is_due and template and sub(template, 1, 16) == digests[n] and sub(template, HEAD + 1, HEAD + 13)
  if not (start and STARTS[start] and byte(template, HEAD + 50) == 34) then -- 34: '"'
    differing[#differing + 1], differing[#differing + 2] = id, moments[n] or ''
  else
    local text = sub(template, 17, HEAD)
    local head = heads[text] or read_head(text)
    local words, skipped = group.words, nil
    for i = 1, #group.runs do
      local run = group.runs[i]
      if run.id and not begin(id, template, head, start, run, group.limit) then
        skipped = skipped or {}
        skipped[i] = true
        if run.kind == 'h' then busy[#busy + 1] = id end
      end
    end
    if skipped then words = words_of(group, skipped) end
    local is_gone = false
    if group.due ~= '' and group.following ~= '' then
      dues[#dues + 1], dues[#dues + 2] = group.following, id
    elseif group.due ~= '' then
      ended[#ended + 1] = id
      is_gone = head.is_call
      if is_gone then gone[#gone + 1] = id end
    end
    if group.due == '' then
      by_hand[#by_hand + 1], by_hand_words[id] = id, words
    elseif words ~= '' and not is_gone then
      local same = noted[words] or {}
      same[#same + 1] = id
      noted[words] = same
    end
  end
end
local notes = {}
for words, same in pairs(noted) do notes[#notes + 1] = words .. '\0' .. table.concat(same, '\0') end

-- An error after the first write would enqueue the same runs with the next call. So these
-- lines ask for each right and type first; they change nothing.
local left = 0
if #notes > 0 then left = redis.call('LLEN', PERIODIC_NOTES) end
if #by_hand > 0 then redis.call('HDEL', PERIODIC_RUNS, '') end
if #at_once + #ranked + #limited + #later > 0 then
  if #limited > 0 then limits().expect(limited) end
  if #ranked > 0 then arrivals().expect(ranked) end
  if #later > 0 then redis.call('ZADD', DELAYED, 'XX', 0, '-') end
  if #dues > 0 then redis.call('ZADD', PERIODIC_DUE, 'XX', 0, '') end
  if #ended > 0 then redis.call('ZREM', PERIODIC_DUE, '') end
  -- Without this right a lock would live forever. No key has this name.
  if #taken > 0 then redis.call('PEXPIRE', unique, 1) end
end
for from = 1, #at_once, 1000 do
  redis.call('LPUSH', PENDING, unpack(at_once, from, math.min(from + 999, #at_once)))
end
if #notes > 0 then left = redis.call('LPUSH', PERIODIC_NOTES, unpack(notes)) end
for i = 1, #ranked do arrivals().arrive(ranked[i], false) end
for i = 1, #limited do arrive(limited[i], false) end
for i = 1, #later do redis.call('ZADD', DELAYED, later[i][1], later[i][2]) end
if #dues > 0 then redis.call('ZADD', PERIODIC_DUE, unpack(dues)) end
if #ended > 0 then redis.call('ZREM', PERIODIC_DUE, unpack(ended)) end
for i = 1, #taken do
  local key, task, periodic, lives = unpack(taken[i])
  redis.pcall('HSET', key, 'id', task, 'since', t, 'text', 'periodic task ' .. periodic)
  redis.pcall('PEXPIRE', key, lives)
end
if #by_hand > 0 then write_histories(by_hand, by_hand_words) end
if #gone > 0 then
  redis.call('HDEL', PERIODIC, unpack(gone))
  redis.call('HDEL', PERIODIC_MESSAGES, unpack(gone))
  redis.call('HDEL', PERIODIC_RUNS, unpack(gone))
  -- No scheduler looks at a queue without records.
  if redis.call('HLEN', PERIODIC) == 0 then redis.call('RPOP', PERIODIC_NOTES, MOST_NOTES * 2) end
end
if #limited > 0 then
  limits().admit_touched(t)
  arrivals().guard_front()
end
if left > MOST_NOTES then left = file_notes() end
return {t, changed, differing, busy, left}
