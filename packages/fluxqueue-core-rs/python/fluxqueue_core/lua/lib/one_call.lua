-- one_call: enqueues one call without options in its message, such as one with a delay. The
-- script ends here then: to make the functions of the parts behind this one takes as long as
-- the call.
--
-- Needs client_keys, clock.
if #ARGV == 2 and string.byte(ARGV[2], 6) == 49 then -- 49: '1', the version without options
  local t, due, message = now(), tonumber(ARGV[1]), ARGV[2]
  if string.byte(ARGV[1]) == 43 then due = t + due end -- 43: '+'
  if due <= t then
    redis.call('LPUSH', PENDING, message)
  elseif redis.call('ZADD', DELAYED, 'NX', due, message) == 0 then
    return {string.sub(message, 14, 49)}
  end
  return {1}
end
