-- audit: writes who has made a change, in the call that makes it. The script of the change is
-- between this part and the next one.
--
-- KEYS, last   audit
-- ARGV, last   who, what, and the task or thing that it was done to
--
-- Why: docs/decisions/0184-the-script-of-a-change-writes-its-audit.md
local AUDIT = table.remove(KEYS)
local audited_on, audited_what, audited_who = table.remove(ARGV), table.remove(ARGV), table.remove(ARGV)

-- First: what can't be written must not be done. No entry can have this id, so it writes nothing.
local audit_kind = redis.call('TYPE', AUDIT)['ok']
if audit_kind ~= 'none' and audit_kind ~= 'stream' then
  error('WRONGTYPE ' .. AUDIT .. ' is a ' .. audit_kind .. ', not a stream')
end
local audit_refusal = redis.pcall('XADD', AUDIT, 'NOMKSTREAM', '0-0', 'who', '')
audit_refusal = type(audit_refusal) == 'table' and audit_refusal.err or '0-0'
if not string.find(audit_refusal, '0-0', 1, true) and not string.find(audit_refusal, 'OOM', 1, true) then
  redis.call('XADD', AUDIT, 'NOMKSTREAM', '0-0', 'who', '') -- fails with this error
end

local function change()
