-- hold: how a message comes into a consumer's claimed hash.
--
-- Needs keys, message, dead, finish, newer.

local MALFORMED = '{"reason":"malformed","error":"it does not begin like a message of this protocol"}'

-- Puts one message into the claimed hash; whether it is there. A message of a newer
-- version is put off, and what can't be held is parked: a message without a field,
-- and one whose field is held. Rule 11: two messages made by hand with one id must not
-- overwrite each other.
local function hold(t, message, grace)
  local f = field(message)
  if f then
    if redis.call('HSETNX', OWN_CLAIMED, f, message) == 1 then return true end
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

-- Moves what a BLMOVE has put into the inbox to the claimed hash. Rule 5: silently,
-- since the reply of the BLMOVE hands the message out.
local function adopt(t, grace)
  local message = redis.call('LINDEX', OWN_INBOX, -1)
  while message do
    hold(t, message, grace)
    redis.call('RPOP', OWN_INBOX)
    message = redis.call('LINDEX', OWN_INBOX, -1)
  end
end

