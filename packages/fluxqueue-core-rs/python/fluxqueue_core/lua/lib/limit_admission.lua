-- limit_admission: which messages of a line have their turn, and their way to a worker.
--
-- Needs message, condemn, arrive.
--
-- Why: docs/decisions/0151-an-admitted-task-goes-to-the-end-of-its-list.md

-- The most that one call of a script takes from one line.
local MOST_ADMITTED, MOST_ADMITTED_BYTES = 250, 262144

-- Adds `choose` and `admit` to the functions of `limits()`.
local function limit_admission(self)
  local LINE, PLACES = self.LINE, self.PLACES
  local micros, read, numbers_for = self.micros, self.read, self.numbers_for
  local paid_at, set_paid_at = self.paid_at, self.set_paid_at

  -- The message, condemned if it has expired or its task is cancelled.
  local function condemned(t, message, head)
    if head and not head.may_expire and not any_cancelled then return message end
    return condemning().cancelled(condemning().expired(t, message))
  end

  -- Whether no more may be admitted until one has left, or a reserved one has paid: the script that
  -- does this admits again.
  local function is_full(numbers, taken, reserved)
    return numbers.most > 0 and taken >= numbers.most or numbers.period > 0 and reserved >= numbers.burst
  end

  -- Which messages of the line's head may be admitted, condemned or not; their fields; when to look
  -- again (ms; nil: what frees a place, or is handed out, admits); whether the line ends with them.
  local function choose(t, digest)
    local ready, fields, bytes = {}, {}, 0
    local taken, reserved
    while true do
      local message = redis.call('LINDEX', LINE .. digest, -1 - #ready)
      if not message then return ready, fields, nil, true end
      if #ready >= MOST_ADMITTED or bytes >= MOST_ADMITTED_BYTES then return ready, fields, t, false end
      local head = read(message)
      local as, is_last = condemned(t, message, head), false
      if head and as == message then
        local numbers, is_rule = numbers_for(head)
        local period = numbers.period
        taken = taken or numbers.most > 0 and redis.call('ZCARD', PLACES .. digest) + #fields
        if period > 0 and not reserved then
          reserved = redis.call('ZCOUNT', PLACES .. digest, '-inf', -1) + #fields
          -- After a change of the rule, or of the clock, an old time may be too far away.
          local latest = micros() + numbers.burst * period
          if paid_at(digest) > latest then set_paid_at(digest, latest) end
        end
        if is_full(numbers, taken, reserved) then return ready, fields, nil, false end
        if period > 0 then
          local tat = paid_at(digest)
          local at = tat + (reserved - numbers.burst + 1) * period
          if tat > micros() and at > micros() then return ready, fields, math.ceil(at / 1000), false end
          reserved = reserved + 1
        end
        taken = taken and taken + 1
        fields[#fields + 1] = head.field
        is_last = is_rule and is_full(numbers, taken, reserved)
      end
      ready[#ready + 1], bytes = as, bytes + #message
      if is_last then return ready, fields, nil, false end
    end
  end

  -- Puts the admitted messages where they wait for a worker, before they leave the line. Those
  -- that have returned go to the front, and so do the condemned ones, which hold no place.
  local function put(ready, returned)
    for i = #ready, 1, -1 do
      if i <= returned or not read(ready[i]) then arrivals().arrive(ready[i], true) end
    end
    for i = returned + 1, #ready do
      if read(ready[i]) then arrivals().arrive(ready[i], false, true) end
    end
  end

  -- Moves the admitted messages out of the line, if all of them go to the end of their list. Returns
  -- how many have moved, and why not all.
  local function move(line, ready)
    for i = 1, #ready do
      local reply = redis.pcall('LMOVE', line, home(ready[i]), 'RIGHT', 'LEFT')
      if type(reply) == 'table' then return i - 1, reply.err end
    end
    return #ready, nil
  end

  -- Whether all of them do.
  local function are_usual(ready, fields, returned)
    if returned > 0 or #fields < #ready then return false end
    for i = 1, #ready do
      if read(ready[i]).is_ranked then return false end
    end
    return true
  end

  -- Admits these messages, each with its place.
  local function admit(t, digest, ready, fields, returned)
    local line, places, is_usual = LINE .. digest, PLACES .. digest, are_usual(ready, fields, returned)
    if not is_usual then
      arrivals().expect(ready)
      redis.call('RPOP', line, 0) -- is it allowed? This removes nothing.
    end
    local scores = {}
    for i = 1, #fields do scores[2 * i - 1], scores[2 * i] = -t, fields[i] end
    if #fields > 0 then redis.call('ZADD', places, unpack(scores)) end
    local gone, failure = 0, nil
    if is_usual then
      gone, failure = move(line, ready)
    else
      local is_done, why = pcall(put, ready, returned)
      if is_done then redis.call('RPOP', line, #ready) else failure = why end
    end
    if failure then
      if #fields > gone then redis.call('ZREM', places, unpack(fields, gone + 1)) end
      error(failure)
    end
  end

  self.choose, self.admit = choose, admit
end
