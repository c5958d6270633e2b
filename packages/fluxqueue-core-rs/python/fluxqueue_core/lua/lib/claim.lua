-- claim: takes messages from a list into a consumer's claimed hash.
--
-- Needs keys, message, lock, arrive, limit, hold.

-- Rule 15: one claim takes at most 4 MiB, which only its last message may exceed.
local MOST_BYTES = 4194304

-- Puts messages back, from the last one to number `from`, which restores their order.
-- Returns false if Redis refuses it (a missing right).
local function put_back(source, messages, from)
  for i = #messages, from, -1 do
    if type(redis.pcall('RPUSH', source, messages[i])) == 'table' then return false end
  end
  return true
end

-- Claims up to `limit` messages. Returns them, and whether the claim stopped at the limit
-- of bytes. The plain case takes two commands for all messages; if one of them is odd,
-- the script claims them one at a time. `ranked`: `arrivals()` if there are messages with
-- priorities, which come first.
local function claim(t, source, limit, grace, ranked)
  if ranked then ranked.begin_claim() end
  -- Takes growing batches until the bytes are enough: large messages must not keep
  -- Redis or a slow connection busy for seconds.
  local popped, bytes, step, n = {}, 0, 1, 0
  local fields, pairs_, seen, odd, locked, limited = {}, {}, {}, false, nil, nil
  while n < limit and bytes < MOST_BYTES do
    local count = math.min(step, limit - n)
    local best = ranked and ranked.take(count)
    local batch = best or redis.call('RPOP', source, count)
    if not batch then break end
    for i = 1, #batch do
      local m = batch[i]
      if bytes >= MOST_BYTES then
        if best then ranked.put_back(batch, i) break end
        if put_back(source, batch, i) then break end
      end
      local f, opts = field(m)
      n = n + 1
      popped[n], bytes = m, bytes + #m
      if not f or seen[f] then
        odd = true
      else
        seen[f] = true
        fields[n], pairs_[2 * n - 1], pairs_[2 * n] = f, f, m
        if opts and find(opts, '"u":', 1, true) then
          locked = locked or {}
          locked[#locked + 1] = m
        end
        if opts and find(opts, '"l":', 1, true) and limits_of(m) then
          limited = limited or {}
          limited[#limited + 1] = m
        end
      end
    end
    -- The average size so far says how many more fit. The difference may be negative.
    step = math.max(math.min(step * 2, 64, math.floor((MOST_BYTES - bytes) * n / bytes)), 1)
  end
  local more = bytes >= MOST_BYTES
  if n == 0 then return popped, more end

  -- From here on, an error (a missing right) must not lose the popped messages.
  if not odd then
    local held = redis.pcall('HMGET', OWN_CLAIMED, unpack(fields))
    if held.err then
      put_back(source, popped, 1)
      error(held.err)
    end
    for i = 1, n do
      if held[i] then odd = true break end
    end
  end
  if not odd then
    local kept = redis.pcall('HSET', OWN_CLAIMED, unpack(pairs_))
    if type(kept) == 'table' then
      put_back(source, popped, 1)
      error(kept.err)
    end
    if locked then
      for i = 1, #locked do locks().begun(locked[i]) end
    end
    if limited then
      for i = 1, #limited do limits().handed(t, limited[i]) end
    end
    return popped, more
  end
  local got = {}
  for i = 1, n do
    local done, held = pcall(hold, t, popped[i], grace)
    if not done then
      -- It can't even be parked (a key has another type), so it returns to its list.
      put_back(source, popped, i)
      error(held)
    end
    if held then
      got[#got + 1] = popped[i]
      if limits_of(popped[i]) then limits().handed(t, popped[i]) end
    end
  end
  return got, more
end

