-- periodic_history: writes what happened at the moments of periodic tasks into their histories.
--
-- Needs periodic_keys.
--
-- A history is words, `<moment>:<ms late>:<kind>` each, with a space after each, the newest first.
--
-- A note is such words, and after a zero byte the ids of the periodic tasks to which this
-- happened, with a zero byte between them. The list PERIODIC_NOTES has the newest one first.
--
-- Why: docs/decisions/0164-histories-are-written-after-the-burst.md

-- The bytes of a history.
local MOST_HISTORY = 640
-- Those that are kept of one that has more.
local KEPT_HISTORY = 480
-- Notes that one call files at most, and the periodic tasks after which it stops. It takes half
-- a millisecond.
local NOTES_AT_ONCE = 16
local TASKS_AT_ONCE = 100

-- Puts words in front of the histories of periodic tasks. `words`: by id. A task that is gone
-- gets none.
local function write_histories(ids, words)
  local records = redis.call('HMGET', PERIODIC, unpack(ids))
  local histories = redis.call('HMGET', PERIODIC_RUNS, unpack(ids))
  local written = {}
  for n = 1, #ids do
    if records[n] then
      local id = ids[n]
      local history = words[id] .. (histories[n] or '')
      if #history > MOST_HISTORY then
        history = string.match(string.sub(history, 1, KEPT_HISTORY), '^(.* )') or ''
      end
      written[#written + 1], written[#written + 2] = id, history
    end
  end
  if #written > 0 then redis.call('HSET', PERIODIC_RUNS, unpack(written)) end
end

-- Writes the oldest notes into the histories. Returns how many notes are left.
local function file_notes()
  local notes = redis.call('LRANGE', PERIODIC_NOTES, -NOTES_AT_ONCE, -1)
  local ids, words, filed = {}, {}, 0
  while filed < #notes and #ids < TASKS_AT_ONCE do
    local note = notes[#notes - filed]
    filed = filed + 1
    local stop = string.find(note, '\0', 1, true) or #note + 1
    local new = string.sub(note, 1, stop - 1)
    for id in string.gmatch(string.sub(note, stop + 1), '[^%z]+') do
      if not words[id] then ids[#ids + 1] = id end
      words[id] = new .. (words[id] or '')
    end
  end
  if filed == 0 then return 0 end
  if #ids > 0 then write_histories(ids, words) end
  redis.call('RPOP', PERIODIC_NOTES, filed)
  return redis.call('LLEN', PERIODIC_NOTES)
end
