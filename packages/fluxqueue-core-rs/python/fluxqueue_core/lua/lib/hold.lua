-- hold: puts messages into a consumer's claimed hash.
--
-- Needs keys, message, dead, lock, limit, finish, newer.

local MALFORMED = '{"reason":"malformed","error":"it does not begin like a message of this protocol"}'

-- Puts one message into the claimed hash. Returns whether it is there. Defers a message
-- of a newer version. Parks a message that has no field, or whose field is held already.
-- Rule 11: two handmade messages with one id must not overwrite each other.
local function hold(t, message, grace)
  local f = field(message)
  if f then
    if redis.call('HSETNX', OWN_CLAIMED, f, message) == 1 then
      if byte(message, 6) == 50 then locks().begun(message) end -- 50: '2'
      return true
    end
    parked[#parked + 1] = park(t, f, message, DUPLICATE)
    return false
  end
  local version = newer(message)
  if version then
    leave_for_newer(t, message, version, grace)
  else
    parked[#parked + 1] = finish(t, 'sha1:' .. redis.sha1hex(message), message, 'dead', MALFORMED)
  end
  return false
end

-- Moves the messages that BLMOVE has put into the inbox to the claimed hash. Rule 5:
-- exchange does not return them, because the reply of the BLMOVE does.
local function adopt(t, grace)
  local message = redis.call('LINDEX', OWN_INBOX, -1)
  while message do
    local held = hold(t, message, grace)
    redis.call('RPOP', OWN_INBOX)
    local limited = held and limits_of(message)
    if limited then limited.handed(t, message) end
    message = redis.call('LINDEX', OWN_INBOX, -1)
  end
end

