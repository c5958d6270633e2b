-- audit: counts the answers of the change, and writes the entry.
end

-- The entries that are kept, about.
local MOST_AUDITED = 10000
local NUMBERS = {['1'] = 'done', ['0'] = 'absent', ['-1'] = 'expired', ['-2'] = 'duplicate', ['-3'] = 'cancelled'}
local reply = change()

-- How often the reply has each word. The id of another task stands for a lock that it has.
local counts, words = {}, {}
local function count(word, times)
  if not counts[word] then words[#words + 1] = word end
  counts[word] = (counts[word] or 0) + times
end
local is_tick = type(reply[3]) == 'table'
if is_tick then
  -- If the entry was not as the caller has read it, nothing has happened.
  if #reply[3] > 0 then return reply end
  count(#reply[4] > 0 and 'busy' or 'done', 1)
else
  for i = 1, #reply do
    local answer = tostring(reply[i])
    local word, times = string.match(answer, '^([%a_]+)=(%d+)$')
    count(word or NUMBERS[answer] or #answer == 36 and 'held' or answer, tonumber(times or 1))
  end
end
for i = 1, #words do words[i] = words[i] .. '=' .. string.format('%.0f', counts[words[i]]) end
redis.call('XADD', AUDIT, 'MAXLEN', '~', MOST_AUDITED, '*', 'who', audited_who, 'what', audited_what, 'on', audited_on,
  'outcome', table.concat(words, ' '))
return reply
