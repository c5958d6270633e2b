-- removal: takes a message that a caller has found from the key in which it waits.
--
-- Needs keys, message, prefix, limit.

-- Returns how to remove a message; nil if it is no longer there. `where` and `within` are as in
-- `delete`.
local function removal(message, where, within)
  local zset = where == 'prioritized' and PRIORITIZED or where == 'delayed' and DELAYED
  if zset then
    return redis.call('ZSCORE', zset, message) and function() redis.call('ZREM', zset, message) end
  end
  -- LREM would look through the whole list for a message that has left it.
  local list = prefix() .. where
  local end_ = within > 0 and 1 or -1
  local at = redis.call('LPOS', list, message, 'RANK', end_, 'MAXLEN', math.abs(within))
  return at and function()
    redis.call('LREM', list, end_, message)
    if find(where, 'limit:line:', 1, true) then limits().shortened(list) end
  end
end

