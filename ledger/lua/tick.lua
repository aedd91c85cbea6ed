#!lua
--[[
The hot path: everything one tick of a gateway has for a shard, in one step.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
KEYS[5..]    i:<epoch>:<account>:<hash> of the lines with a claim, in their order
ARGV[1]      head, see parts/guard.lua; holds need the session
ARGV[2..65]  lines by kind: S settle, L late, R renew, O observed, then H hold, K check

Returns {word, q, answer of each line}; word: OK | NOMETA | STALE | FROZEN | REGRESS | SKEW
  H  available (a number: it is held) | HELD available ... (with limits) | FREE available (an allowance, or a quota of what is free: held at price 0) | NEWID | GONE | NOACCOUNT | BLOCKED | BADKEY | SCOPE
     | PLAN number (the account is on this one, not on the line's)
     | LIMITED retry_after_ms | CAPPED retry_after_ms (0: never) type window
     | NEWREACH (a lot is limited to routes that the caller does not know yet)
     | INSUFFICIENT available | TOOLARGE window | BUSY | NOTYPE | CORRUPT
     | RUNNING hold | DONE hold | MISMATCH hold | ASK hold (another hold has the claimed key, parts/claims.lua)
  K  PASS available, or as H
  S  captured (a number: so much of it was) | DONE outcome captured | NOHOLD | EXPIRED | EARLY | TOOMUCH held | NOACCOUNT | BUSY | CORRUPT
  L  captured (of a hold that was still open) | DONE outcome captured | NOACCOUNT | NEWREACH | BUSY | NOTYPE | CORRUPT | ASK hold
  R  RENEWED | NOHOLD | CORRUPT        O  OK | BUSY
  any  BADLINE: no line of this protocol; nothing changed for it
HELD, PASS and INSUFFICIENT of a line with limits go on with two words for each (the key's rate
first, where there is one): what is left, seconds until all is back. LIMITED names the limit.

It exists twice: so, and with `allow-oom` for calls that only settle. That one is without what stands between
`-- of holds` and `-- end of holds`, here and in parts: H and K are no lines there.
]]
-- include meta
-- include guard
if #ARGV > 65 then
  return redis.error_reply('BADARG more than 64 lines')
end
-- Lua lets what nobody needs any more double its memory before it collects it: 0.8 MB with all scripts loaded, which is
-- more than a core has near it. A quarter more is enough: 0.5 % more instructions, a third fewer reads from far away.
collectgarbage('setpause', 125)
-- include plain_constants
-- include journal

-- What the lines need is read in two calls: the holds they name, then accounts, keys, session.
local SETTLE, LATE, RENEW, OBSERVED, HOLD, CHECK = 83, 76, 82, 79, 72, 75 -- the letters
local SETTLE_BYTES, CAPTURE_MARK, FIRST_CAPTURE, FIRST_VOID = 24, 25412, 1, 20 -- 'Dc', and reasons: see parts/settle.lua
local SPARE_FACTS = 100 -- room in the journal for what must never wait: controls, late captures
local room = journal_cap - q + posted_q -- facts that the journal may take; a hold wants two more
-- By hold, its bytes as of this call, false where there is none; only of those that some line has dealt with.
local hold_states = {}
-- By account field, where `balances_written` has what plain lines of this call have made of it; false once it is parsed.
local fresh = {}
local session_highest, session_used = nil, false

local lines = ARGV
-- Beginning as the lines, so that it has a place for the answer to each; until then the line's kind stands there.
local answers = { 'OK', 0, unpack(lines, 2) }

-- Holds by id, and what of each is captured; false where none is, in a line that says so plainly.
local wanted_holds, captures, named = { nil, nil, nil, nil, nil, nil, nil, nil }, { nil, nil, nil, nil, nil, nil, nil, nil }, 0
-- The session, then account and key of each line that holds or checks, then accounts that get something back.
local session_field = 's' .. sub(lines[1], 25, 28)
local wanted, wanted_count, any_hold = roomy(), 1, false
wanted[1] = session_field
for i = 2, #lines do
  local line = lines[i]
  local kind = byte(line)
  answers[i + 1] = kind
  if kind == SETTLE then
    named = named + 1
    local size = #line
    if size >= SETTLE_BYTES and size <= SETTLE_BYTES + MAX_DETAIL then
      local mark, captured, id, reason = sunpack('<HI6c12B', line, 2)
      wanted_holds[named] = id
      captures[named] = reason < FIRST_VOID and reason >= FIRST_CAPTURE and mark == CAPTURE_MARK and captured
    else
      wanted_holds[named], captures[named] = sub(line, 10, 21), false
    end
-- of holds
  elseif kind == HOLD or kind == CHECK then
    if #line >= HOLD_BYTES then
      local account_id, key_id = sunpack('<c7c7', line, 16)
      wanted[wanted_count + 1], wanted[wanted_count + 2] = 'a' .. account_id, 'k' .. key_id
      wanted_count = wanted_count + 2
      if kind == HOLD then
        any_hold = true
      end
    else
      answers[i + 1] = false -- of no kind
    end
-- end of holds
  elseif kind == LATE or kind == RENEW then
    named = named + 1
    wanted_holds[named], captures[named] = sub(line, 2, 13), false
  end
end
-- Of the holds that parts/plain_settle.lua may close: the type; and of those that it captures less of than they hold,
-- which few calls have, the price, who gets something back, and where in `wanted` that is.
local found, held_types, prices, account_ids, account_places
local first_more = wanted_count + 1
if named > 0 then
  found = named == 1 and { call('HGET', KEYS[4], wanted_holds[1]) } or call('HMGET', KEYS[4], unpack(wanted_holds, 1, named))
  held_types = { nil, nil, nil, nil, nil, nil, nil, nil }
-- of holds
elseif any_hold then
  call('HLEN', KEYS[4]) -- to meet a key of the wrong type before anything is written
-- end of holds
end
for k = 1, named do
  local raw, captured = found[k], captures[k]
  local size = raw and #raw or 0
  if captured and size >= 62 then
    local mark, length, raw_id, _, _, held_type, price = sunpack('<BHc12I8I6BI6', raw)
    if mark == OPEN_MARK and length == size - 3 and raw_id == wanted_holds[k]
        and length >= 59 + 18 * byte(raw, 62) and captured <= price then
      held_types[k] = held_type
      if captured < price then
        if not prices then
          prices, account_ids, account_places = { nil, nil, nil, nil, nil, nil, nil, nil },
            { nil, nil, nil, nil, nil, nil, nil, nil }, { nil, nil, nil, nil, nil, nil, nil, nil }
        end
        prices[k] = price
        local account_id = sub(raw, 16, 22)
        wanted_count = wanted_count + 1
        wanted[wanted_count] = 'a' .. account_id
        account_ids[k], account_places[k] = account_id, wanted_count
      end
    end
  end
end
local read = wanted_count > 1 and call('HMGET', KEYS[3], unpack(wanted, 1, wanted_count))
-- of holds
local session_raw = any_hold and read[1]
if session_raw then
  -- false: there is such a session, but its bytes do not add up.
  session_highest = #session_raw == 16 and sunpack('<d', session_raw) or -1
  if not (session_highest >= 0 and session_highest <= MAX_COUNT and session_highest % 1 == 0) then
    session_highest = false
  end
end

local now_us = now * 1000
-- end of holds
local w = 1 -- the window of the line before: nearly always that of the next
local head_of, capture_head -- of the last whole capture, see parts/plain_settle.lua
-- By number of lots, how a plain account's end is put behind all that stays.
local changes = { '<c50I5I6B', '<c68I5I6B', '<c86I5I6B', '<c104I5I6B' }
local at, hold_at = 0, 0 -- in `wanted`, of the last account; in `wanted_holds`, of the last hold named
local others -- what deals with every line that is not plain: parts/others.lua
for i = 2, #lines do
  local line, kind = lines[i], answers[i + 1]
  local answer
  if kind == SETTLE then
    hold_at = hold_at + 1
    local id, captured, held_type = wanted_holds[hold_at], captures[hold_at], held_types[hold_at]
    repeat
-- include plain_settle
    until true
-- of holds
  elseif kind == HOLD then
    at = at + 2
    local account_field, key_field = wanted[at], wanted[at + 1]
    repeat
-- include plain_hold
    until true
  elseif kind == CHECK then
    at = at + 2
-- end of holds
  elseif kind == LATE or kind == RENEW then
    hold_at = hold_at + 1
  end
  if not answer then
    others = others or (function()
-- include others
    end)()
    if kind == SETTLE then
      local id = wanted_holds[hold_at]
      if hold_states[id] == nil then
        hold_states[id] = found[hold_at]
      end
      answer = others.settle(line)
-- of holds
    elseif kind == HOLD or kind == CHECK then
      answer = others.hold(line, kind, wanted[at], read[at], wanted[at + 1], read[at + 1])
-- end of holds
    elseif kind == RENEW then
      answer = others.renew(line)
    elseif kind == LATE then
      answer = others.late(line)
    elseif kind == OBSERVED then
      answer = others.observed(line)
    else
      answer = 'BADLINE'
    end
  end
  answers[i + 1] = answer
end

if others then
  others.put_tallies()
end
if session_used then
  local count = #balances_written
  balances_written[count + 1], balances_written[count + 2] = session_field, spack('<dd', session_highest, now)
end
local pack_account = others and others.pack_account
-- include commit
if others then
  others.put_claims()
end
answers[2] = q
return answers
