-- open: begins a worker's new conversation and ends its old ones.
--
-- KEYS         claimed:<new>, inbox:<new>, workers; then claimed:<old>, inbox:<old> of
--              each old id
-- ARGV 1       the new consumer id; '' closes the old ones and opens nothing
--      2       lease, ms
--      3       text that describes the worker to operators, kept while the id lives; '' for none
--      4       number of old ids
--      5...    the old ids, then the fields that the worker still holds (keep)
-- Returns      {0} if the new id is known already, else {1, now, field...} with the fields
--              that the new id holds
-- Complexity   O(messages held by the old ids)
--
-- For each old id that is alive or late: messages named by `keep` move to the new id.
-- Rule 3: the other messages, which the worker does not know, return to their lists.
-- Rule 10: so do the messages that a drained worker has not begun. No count is raised.
local new, lease, who, olds = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if new ~= '' and redis.call('ZSCORE', CONSUMERS, new) then return {0} end
local t = now()
any_cancelled = redis.call('EXISTS', CANCELLED) == 1
local keep = {}
for i = 5 + olds, #ARGV do keep[ARGV[i]] = true end

local reply = {1, t}
local before = #KEYS - 2 * olds -- the keys of the old ids follow these
for i = 1, olds do
  local old, claimed, inbox = ARGV[4 + i], KEYS[before + 2 * i - 1], KEYS[before + 2 * i]
  local ends = tonumber(redis.call('ZSCORE', CONSUMERS, old) or '0')
  if ends > 0 then
    local messages = redis.call('HVALS', claimed)
    local unpaid = {} -- BLMOVE has brought it, and no exchange has seen it yet
    for _, m in ipairs(redis.call('LRANGE', inbox, 0, -1)) do
      messages[#messages + 1] = m
      unpaid[m] = true
    end
    -- Ids begin with the time, so the oldest message is pushed last and claimed first.
    table.sort(messages, function(a, b) return a > b end)
    arrivals().expect(messages)
    for _, m in ipairs(messages) do
      if limits_of(m) then
        limits().expect(messages)
        break
      end
    end
    for _, m in ipairs(messages) do
      local f = field(m)
      if f and new ~= '' and keep[f] then
        keep[f] = nil
        redis.call('HSET', OWN_CLAIMED, f, m)
        reply[#reply + 1] = f
        -- It may have begun.
        if unpaid[m] and limits_of(m) then limits().handed(t, m) end
      else
        if limits_of(m) then limits().leave(m, f) end
        arrive(condemning().cancelled(m), true)
      end
    end
    redis.call('DEL', claimed, inbox)
  end
  -- Rule 4: an unknown id becomes a tombstone too. If a request of it is still under way,
  -- Redis must refuse it.
  if ends >= 0 then redis.call('ZADD', CONSUMERS, -t, old) end
  redis.pcall('HDEL', WORKERS, old)
end
if limits_made then limits_made.admit_touched(t) end
-- Always: the worker may have taken the head of `pending` before its connection broke.
arrivals().guard()
if new ~= '' then
  redis.call('ZADD', CONSUMERS, t + lease, new)
  -- This only informs: a worker serves even if the write fails (a key of another type).
  if who ~= '' then redis.pcall('HSET', WORKERS, new, who) end
end
return reply
