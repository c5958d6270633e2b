-- one_call: enqueues one call, such as one with a delay. The script ends here then: to make the
-- functions of the parts behind this one takes as long as the call. The reply is the verdict
-- itself: to make a table around it and to write that takes a sixth of the script's time.
--
-- Needs client_keys. It leaves to the other parts a call with a priority that is due, and one
-- whose message has the time of an expiry (`"x":"+<ms>"`).
local usual = not ARGV[3] and (string.byte(ARGV[2], 6) == 49 or not string.find(ARGV[2], '"x":"+', 51, true))
if usual then -- 49: '1', the version without options
  local clock, due, message = redis.call('TIME'), ARGV[1], ARGV[2]
  local t = clock[1] * 1000 + math.floor(clock[2] / 1000)
  due = string.byte(due) == 43 and t + due or tonumber(due) -- 43: '+'
  if due > t then
    if redis.call('ZADD', DELAYED, 'NX', due, message) == 0 then return string.sub(message, 14, 49) end
    return 1
  elseif not PRIORITIZED then
    redis.call('LPUSH', PENDING, message)
    return 1
  end
end

