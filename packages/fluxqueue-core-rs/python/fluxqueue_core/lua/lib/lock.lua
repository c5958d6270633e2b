-- lock: what belongs to a unique task. While a task holds a lock, calls that want it enqueue
-- nothing, or replace the task.
--
-- Needs message, prefix.
--
-- A message names its lock in the option `u`: `<digest>:<ms to live><flags>`. With the flag `s`
-- the task holds it until it is handed out; `i`: a second lock has the task's id as its digest.
-- A lock is a hash: `id` of the task that holds it, `since` (ms), `text` for people, and
-- `message` while the task may be replaced.
--
-- An error at a lock stops nothing here, for its time to live ends it anyway. The keys of locks
-- are not in KEYS: they are in the hash slot of the queue.
--
-- Why: docs/decisions/0130-a-lock-belongs-to-a-task-until-its-end.md

local locks_made

-- Returns the functions below. A call makes them when it needs the first of them: a plain
-- exchange needs none, and a function costs it as much as a command of Redis.
local function locks()
  if locks_made then return locks_made end
  local self = {}
  local before = prefix() .. 'unique:'

  -- The digest, ms to live and flags of a message's lock. nil: it has none.
  local function lock_of(message)
    local _, opts = field(message)
    if not opts then return nil end
    return string.match(opts, '[{,]"u":"(%x+):(%d+)(%a*)"')
  end

  -- Calls `change` with the key of a message's lock, who holds it (false: no task), and the
  -- task's id.
  local function change_lock(message, digest, change)
    local holder = redis.pcall('HGET', before .. digest, 'id')
    if type(holder) ~= 'table' then change(before .. digest, holder, sub(message, 14, 49)) end
  end

  -- The same for the lock whose digest is the task's id, if there is one.
  local function change_lock_of_id(message, flags, change)
    if find(flags, 'i', 1, true) then change_lock(message, sub(message, 14, 49), change) end
  end

  local function release(key, holder, id)
    if holder == id then redis.pcall('HDEL', key, 'id', 'since', 'text', 'message') end
  end

  self.lock_of = lock_of

  -- The task has ended.
  function self.free(message)
    local digest, _, flags = lock_of(message)
    if not digest then return end
    change_lock(message, digest, release)
    change_lock_of_id(message, flags, release)
  end

  -- The message is condemned: no attempt follows. The lock of its id stays until the end: a message
  -- with the same field would be parked as a duplicate, and this end would free its lock.
  -- Why: docs/decisions/0173-an-id-is-free-when-its-task-has-ended.md
  function self.condemned(message)
    local digest = lock_of(message)
    if digest then change_lock(message, digest, release) end
  end

  -- The message is in a claimed hash. No worker begins the task before this.
  function self.begun(message)
    local digest, _, flags = lock_of(message)
    if digest and find(flags, 's', 1, true) then change_lock(message, digest, release) end
  end

  -- The id of another task that has a lock of the message. nil: no other task has it.
  function self.other_holder(message)
    local digest, _, flags = lock_of(message)
    if not digest then return nil end
    local other
    local function look(_, holder, id)
      if holder and holder ~= id then other = holder end
    end
    change_lock(message, digest, look)
    change_lock_of_id(message, flags, look)
    return other
  end

  -- The task will run again in `delay` ms. It keeps its lock, takes it again if its time has
  -- run out, and leaves it to another task that has it by now. `anew`: it begins again, so it
  -- takes a lock until the start too.
  function self.renew(t, message, delay, anew)
    local digest, ttl, flags = lock_of(message)
    if not digest then return end
    local function hold_on(key, holder, id)
      if holder and holder ~= id then return end
      if not holder then redis.pcall('HSET', key, 'id', id, 'since', t) end
      local expires = redis.pcall('PEXPIRE', key, tonumber(delay) + tonumber(ttl))
      -- Without this right it would live forever.
      if type(expires) == 'table' and not holder then release(key, id, id) end
    end
    if anew or not find(flags, 's', 1, true) then change_lock(message, digest, hold_on) end
    change_lock_of_id(message, flags, hold_on)
  end

  locks_made = self
  return self
end

