-- watch: adds what a worker has counted to the numbers of its queue, while a reader wants them.
--
-- Needs keys, message.
--
-- Why: docs/decisions/0191-numbers-only-while-a-reader-watches.md

-- ms for which a slot of time, the totals and the report of a worker are kept.
local SLOT_KEPT, TOTAL_KEPT, REPORT_KEPT = 900000, 86400000, 30000
-- The most fields with the name of a task that a hash has.
local MOST_NAMES = 1000

-- Adds to one field. A name needs a place.
local function add_number(key, name, number)
  if find(name, ':.') and redis.pcall('HEXISTS', key, name) ~= 1 then
    local names = redis.pcall('HINCRBY', key, 'names', 1)
    if type(names) ~= 'number' or names > MOST_NAMES then return end
  end
  redis.pcall('HINCRBY', key, name, number)
end

-- Returns whether a reader watches the queue. If so, adds the counts of the last four values of
-- ARGV, and keeps the report. `at` is the position of the first of four keys. These only inform:
-- the exchange does its work even if a write fails (a key of another type).
local function keep_counts(t, at)
  if redis.call('EXISTS', KEYS[at]) == 0 then return false end
  local counts, report = ARGV[#ARGV - 1], ARGV[#ARGV]
  if counts ~= '' then
    for i, kept in ipairs({SLOT_KEPT, TOTAL_KEPT}) do
      local key = KEYS[at + i]
      for name, number in string.gmatch(counts, '([^\n]+)\n(%d+)\n') do add_number(key, name, number) end
      redis.pcall('PEXPIRE', key, kept)
    end
  end
  if report ~= '' then
    redis.pcall('HSET', KEYS[at + 3], 'at', t, 'report', report)
    redis.pcall('PEXPIRE', KEYS[at + 3], REPORT_KEPT)
  end
  return true
end

