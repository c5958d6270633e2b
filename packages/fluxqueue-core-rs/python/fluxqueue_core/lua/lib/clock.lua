-- clock: the time of Redis, so that the clocks of hosts do not matter.

-- Milliseconds since 1970.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

