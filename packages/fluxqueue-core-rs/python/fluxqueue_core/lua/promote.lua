-- promote: moves due messages from the delayed set to their list. Condemns those that have
-- expired, or whose task is cancelled. Calls those that have waited for the time of their limit.
--
-- KEYS         the keys of the queue, then `limits`, `periodic`
-- ARGV 1       limit (1..1000); the script stops earlier at about 256 KiB
--      2       limit of moved messages returned, for their traces; optional.
--              Messages larger than 4 KiB are not returned.
-- Returns      {moved, ms until the next one, or a limit, is due (at most a day) or -1 if none waits},
--              and {message...} as a third element if ARGV 2 is given. If the queue has
--              periodic tasks, there is a fourth one, 1, and the third one is there.
-- Complexity   O(limit + log delayed)
--
-- Why: docs/decisions/0037-short-calls-of-promote.md
local MOST_BYTES = 262144
local t = now()
local limit, shown = tonumber(ARGV[1]), ARGV[2] and {}
local moved, bytes, step = 0, 0, 1
-- One command asks for the keys that are seldom there.
local DUE_LIMITS, PERIODIC_RECORDS = KEYS[#KEYS - 1], KEYS[#KEYS]
local seldom = redis.call('EXISTS', PRIORITIZED, CANCELLED, DUE_LIMITS, PERIODIC_RECORDS) > 0
local periodic = seldom and redis.call('EXISTS', PERIODIC_RECORDS) == 1 and 1 or nil
any_cancelled = seldom and redis.call('EXISTS', CANCELLED) == 1
while moved < limit and bytes < MOST_BYTES do
  -- The steps grow until the limit of bytes is reached: large messages must not keep
  -- Redis busy for long.
  local asked = math.min(step, limit - moved)
  local due = redis.call('ZRANGEBYSCORE', DELAYED, '-inf', t, 'LIMIT', 0, asked)
  if #due == 0 then break end
  -- Without the right to remove, every call would push the same messages again. So
  -- this line checks the right before the first write; it removes nothing.
  if moved == 0 then redis.call('ZREMRANGEBYRANK', DELAYED, 1, 0) end
  for i = 1, #due do due[i] = condemning().cancelled(condemning().expired(t, due[i])) end
  -- Neighbours that belong to the same list move together. Due messages are the first
  -- of the set, so the script removes them by rank, without a search.
  local from = 1
  while from <= #due do
    local list, to = home(due[from]), from
    -- Suspects know no priority.
    local function is_odd(m) return limits_of(m) or list == PENDING and arrivals().priority(m) end
    if is_odd(due[from]) then
      arrive(due[from], false)
    else
      while to < #due and home(due[to + 1]) == list and not is_odd(due[to + 1]) do to = to + 1 end
      redis.call('LPUSH', list, unpack(due, from, to))
    end
    redis.call('ZREMRANGEBYRANK', DELAYED, 0, to - from)
    from = to + 1
  end
  for i = 1, #due do
    local m = due[i]
    bytes = bytes + #m
    if shown and #m <= 4096 and #shown < tonumber(ARGV[2]) then shown[#shown + 1] = m end
  end
  moved = moved + #due
  if #due < asked then break end
  step = math.max(math.min(step * 4, 128, math.floor((MOST_BYTES - bytes) * moved / bytes)), 1)
end
local has_limits = seldom and redis.call('EXISTS', DUE_LIMITS) == 1
if has_limits then limits().look_again(t) end
if limits_made then limits_made.admit_touched(t) end
-- A worker that took the head of `pending` may be lost: then this mends it.
if seldom or limits_made or arrivals_made and arrivals_made.has_ranked then arrivals().guard() end
local first = redis.call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
local left = #first > 0 and math.min(math.max(math.ceil(first[2] - t), 0), 86400000) or -1
local looks = limits_made and limits_made.next_look(t)
if looks and (left < 0 or looks < left) then left = math.min(looks, 86400000) end
if periodic then return {moved, left, shown or {}, periodic} end
return {moved, left, shown}
