-- result: keeps the outcome of a task, and tells those who wait for it.
--
-- Needs keys. An effect is {key of the result, outcome as JSON, ms to keep it, whether its
-- channel is sharded}. The caller makes it, and names the key in KEYS.
--
-- Why: docs/decisions/0106-results-are-effects.md

-- A longer outcome is not in the message to those who wait: they read the key.
local MOST_TOLD = 4096

-- The effects of this call, to be told when all is written.
local kept = {}
local keepable = false

-- The channel of a result's key: `...:done:<id>` of `...:result:<id>`.
local function channel(key)
  return (string.gsub(key, ':result:([^:]*)$', ':done:%1'))
end

-- Fails if Redis would refuse to keep or to tell. Call this before the first write of an
-- end: an error after it would repeat that write with each call.
local function check_keep(effects)
  if keepable then return end
  local effect = effects[1]
  -- XX writes nothing, because there is no such key. No client listens to this channel.
  if redis.call('EXISTS', effect[1]) == 0 then redis.call('SET', effect[1], '', 'XX') end
  local name = string.gsub(channel(effect[1]), '[^:]*$', '')
  if effect[4] then redis.call('SPUBLISH', name, '') else redis.call('PUBLISH', name, '') end
  keepable = true
end

local function keep(effects)
  for _, effect in ipairs(effects) do
    redis.call('SET', effect[1], effect[2], 'PX', effect[3])
    kept[#kept + 1] = effect
  end
end

-- Tells what this call has kept. Call this when everything is written.
local function tell_kept()
  for _, effect in ipairs(kept) do
    local text = #effect[2] <= MOST_TOLD and effect[2] or ''
    local name = channel(effect[1])
    if effect[4] then redis.pcall('SPUBLISH', name, text) else redis.pcall('PUBLISH', name, text) end
  end
end

