-- one_call: enqueues one call, such as one with a delay. The script ends here then: to make the
-- functions of the parts behind this one takes as long as the call. The reply is the verdict
-- itself: to make a table around it and to write that takes a sixth of the script's time.
--
-- Needs client_keys. It leaves to the other parts a call with a priority that is due, and one
-- whose message has the time of an expiry (`"x":"+<ms>"`).
do
  local due, message = ARGV[1], ARGV[2]
  if not ARGV[3] and (string.byte(message, 6) == 49 or not string.find(message, '"x":"+', 51, true)) then
    -- 49: '1', the version without options. `%d` cuts off the microseconds. Without it Redis would
    -- write the number with 17 digits, which takes longer.
    local clock, is_later = redis.call('TIME')
    local t = clock[1] * 1000 + clock[2] / 1000
    if string.byte(due) == 43 then -- 43: '+'
      is_later = due ~= '+0'
      due = string.format('%d', t + due)
    else
      is_later = tonumber(due) > t
    end
    if is_later then
      if redis.call('ZADD', DELAYED, 'NX', due, message) == 0 then return string.sub(message, 14, 49) end
      return 1
    elseif not PRIORITIZED then
      redis.call('LPUSH', PENDING, message)
      return 1
    end
  end
end
