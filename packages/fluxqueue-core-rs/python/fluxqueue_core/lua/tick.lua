-- tick: enqueues the runs of periodic tasks that are due.
--
-- KEYS         the keys of the queue, then those of its periodic tasks
-- ARGV 1       the time (ms) of the last reply that the caller has read; 0: there is none
--      2       the time (ms) by which the caller has planned; if it is ahead of Redis, nothing
--              happens: moments that are still to come could count as missed
--      3...    six values for each entry that is due:
--              its id
--              the digest of its record, as the caller has read it
--              its moment (ms), as the caller has read it; '' for a run by hand
--              the next moment (ms); '' if there is none
--              until when its runs may begin (ms); '' without a limit
--              what happens now, in words with a space between: 'r<ms>+<delay>' a run of this
--              moment, with a delay in ms; 'm<ms>' this moment was missed, and others since
--              then, up to the next word; 'h<task id>' a run by hand
-- Returns      {now, ids of entries that have changed since ARGV 1, {id, moment...} of the
--              entries that are not as the caller has read them; '' for no moment}
-- Complexity   O(runs + changes + log entries)
--
-- Each moment comes once, with any number of schedulers: only the call that finds it as the
-- next one enqueues the run, and it writes the moment that follows. The clock of Redis says
-- whether the moment has come.
--
-- Why: docs/decisions/0141-each-moment-once-without-a-leader.md

-- The bytes of an entry's history.
local MOST_HISTORY = 640

local t = now()
local changed = {}
if ARGV[1] ~= '0' then changed = redis.call('ZRANGEBYSCORE', PERIODIC_CHANGED, ARGV[1], '+inf') end

-- The id of a run: the moment, and what the entry's id gives.
local function run_id(moment, template)
  return string.format('%08x-%04x', math.floor(moment / 65536), moment % 65536) .. sub(template, 27, 49)
end

local is_ahead = tonumber(ARGV[2] or 0) > t
local at_once, ranked, later, dues, ended, history, differing = {}, {}, {}, {}, {}, {}, {}
for i = 3, #ARGV, 6 do
  local id, digest, due, following, limit, events = unpack(ARGV, i, i + 5)
  local record = redis.call('HGET', PERIODIC, id)
  local current = redis.call('ZSCORE', PERIODIC_DUE, id)
  local template = redis.call('HGET', PERIODIC_MESSAGES, id)
  local is_due = due == '' or current == due and tonumber(due) <= t
  if is_ahead or not record or not template or sub(record, 1, 16) ~= digest or not is_due then
    differing[#differing + 1], differing[#differing + 2] = id, current or ''
  else
    local past = {}
    for kind, moment, more in string.gmatch(events, '(%l)([%x-]+)%+?(%d*)') do
      if kind == 'm' then
        past[#past + 1] = moment .. ':0:m'
      else
        local message = sub(template, 1, 13) .. (kind == 'h' and moment or run_id(tonumber(moment), template)) .. sub(template, 50)
        if limit ~= '' then message = string.gsub(message, '"x":"%+%d+"', '"x":' .. limit, 1) end
        local delay = tonumber(more) or 0
        if kind == 'r' and tonumber(moment) + delay > t then
          later[#later + 1] = {tonumber(moment) + delay, message}
        elseif arrivals().priority(message) then
          ranked[#ranked + 1] = message
        else
          at_once[#at_once + 1] = message
        end
        local late = kind == 'r' and t - tonumber(moment) or 0
        past[#past + 1] = string.format('%.0f:%.0f:%s', t - late, late, kind)
      end
    end
    if due ~= '' and following ~= '' then
      dues[#dues + 1], dues[#dues + 2] = following, id
    elseif due ~= '' then
      ended[#ended + 1] = id
    end
    if #past > 0 then history[#history + 1] = {id, past} end
  end
end

-- An error after the first write would enqueue the same runs with the next call. So these
-- lines ask for each right and type first; they change nothing.
if #at_once + #ranked + #later > 0 then
  if #ranked > 0 then arrivals().expect(ranked) end
  if #later > 0 then redis.call('ZADD', DELAYED, 'XX', 0, '-') end
  if #dues > 0 then redis.call('ZADD', PERIODIC_DUE, 'XX', 0, '') end
  if #ended > 0 then redis.call('ZREM', PERIODIC_DUE, '') end
end
for from = 1, #at_once, 1000 do
  redis.call('LPUSH', PENDING, unpack(at_once, from, math.min(from + 999, #at_once)))
end
for i = 1, #ranked do arrivals().arrive(ranked[i], false) end
for i = 1, #later do redis.call('ZADD', DELAYED, later[i][1], later[i][2]) end
if #dues > 0 then redis.call('ZADD', PERIODIC_DUE, unpack(dues)) end
if #ended > 0 then redis.call('ZREM', PERIODIC_DUE, unpack(ended)) end
for i = 1, #history do
  local id, past = unpack(history[i])
  local words = {}
  for j = #past, 1, -1 do words[#words + 1] = past[j] end
  local text = table.concat(words, ' ') .. ' ' .. (redis.call('HGET', PERIODIC_RUNS, id) or '')
  if #text > MOST_HISTORY then text = string.match(sub(text, 1, MOST_HISTORY), '^(.*) ') or '' end
  redis.call('HSET', PERIODIC_RUNS, id, text)
end
return {t, changed, differing}
