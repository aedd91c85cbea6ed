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

It exists twice: so, and with `allow-oom` for calls that only settle.
]]
-- include meta
-- include guard
if #ARGV > 65 then
  return redis.error_reply('BADARG more than 64 lines')
end
-- include constants
-- include journal

-- What the lines need is read in two calls: the holds they name, then accounts, keys, session.
local SETTLE, LATE, RENEW, OBSERVED, HOLD, CHECK = byte('SLROHK', 1, 6)
local SETTLE_BYTES = 22
local SPARE_FACTS = 100 -- room in the journal for what must never wait: controls, late captures
local room, open_holds = meta.J - meta.q + meta.kq, meta.open -- facts that the journal may take; a hold wants two more
local stored, hold_states = {}, {} -- field -> bytes as they were read, or false where there is none
-- By account field, where `balances_written` has what plain lines of this call have made of it; false once it is parsed.
local fresh = {}
local session_highest, session_used = nil, false

-- Every function, and every name that it takes from around it, costs time in every call. So what plain lines do stands
-- right in the loop below, and everything else is made by the first line that needs it.
local made_limits, made_claims, made_others

local function others()
  if made_others then
    return made_others
  end
-- include library
-- include constants
-- include whole
-- include account
-- include saying
-- include open_hold
-- include states

  local limits, claims

  function limits()
    if made_limits then
      return made_limits
    end
-- include tallies
-- include limits
    made_limits = {
      fields = wanted_fields, want = want_limits, want_loans = want_loans, give_loans_back = give_loans_back, put = put_tallies,
      asked_by = asked_by, kept_back = kept_back, allowance_for = allowance_for, caps_of = caps_of,
      capped = capped, use = use_limits, standing = standing,
    }
    return made_limits
  end

  function claims()
    if made_claims then
      return made_claims
    end
-- include claims
    made_claims = {
      want = want_claim, read = read_owners, of = claim_of, kept_by_owner = kept_by_owner, take = take_claim,
      put = put_claims,
    }
    return made_claims
  end

-- include lots
-- include reach
-- include hold_extras
-- include hold
-- include close_hold
-- include settle
-- include late
-- include renew
-- include observed
  made_others = {
    limits = limits, claims = claims,
    state_of = state_of, read_mark = read_mark, hold = hold, settle = settle, late = late, renew = renew,
    observed = observed, pack_account = pack_account,
  }
  return made_others
end

-- Holds by id, and what of each is captured; false where nobody asks.
local NOT_ALL = -1
local wanted_holds, captures, named = roomy(), roomy(), 0
-- The session, then account and key of each line that holds or checks, then everything else.
local session_field = 's' .. sub(ARGV[1], 25, 28)
local wanted, more_wanted, any_hold, before_more = roomy(), {}, false, 1
wanted[1] = session_field
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  if kind == HOLD or kind == CHECK then
    wanted[before_more + 1], wanted[before_more + 2] = 'a' .. sub(line, 14, 20), 'k' .. sub(line, 21, 27)
    before_more = before_more + 2
    if #line > HOLD_BYTES then -- limits and claims stand behind that
      local scope = byte(line, 47)
      if scope >= LIMITED then
        others().limits().want(line)
      end
      if band(scope, CLAIMING) ~= 0 then
        others().claims().want(line)
      end
    end
    any_hold = any_hold or kind == HOLD
  elseif kind == SETTLE then
    named = named + 1
    if #line >= SETTLE_BYTES then
      wanted_holds[named], captures[named] = sunpack('<c12I6', line, 2)
    else
      wanted_holds[named], captures[named] = sub(line, 2, 13), false
    end
  elseif kind == LATE or kind == RENEW then
    named = named + 1
    wanted_holds[named], captures[named] = sub(line, 2, 13), kind == LATE and NOT_ALL
    if kind == LATE then
      more_wanted[#more_wanted + 1] = 'a' .. sub(line, 14, 20)
      if band(byte(line, 41) or 0, LATE_CLAIMING) ~= 0 then
        others().claims().want(line)
      end
    end
  end
end
if any_hold and named == 0 then
  -- Not to know the hold, but to meet a key of the wrong type before anything is written.
  named, wanted_holds[1] = 1, sub(ARGV[#ARGV], 2, 13)
end
local found = named > 0 and redis.call('HMGET', KEYS[4], unpack(wanted_holds, 1, named))
local prices, held_types, account_places = roomy(), roomy(), {} -- of the holds that parts/plain_settle.lua may close
for k = 1, named do
  local raw, captured, id = found[k], captures[k], wanted_holds[k]
  local size = raw and #raw or 0
  if captured and size >= 62 then
    local mark, length, raw_id, _, _, held_type, price = sunpack('<BHc12I8I6BI6', raw)
    local captures_all = captured > 0 and captured == price
    if not captures_all then
      more_wanted[#more_wanted + 1] = 'a' .. sub(raw, 16, 22)
      account_places[k] = before_more + #more_wanted
    end
    if length + 4 <= size then
      others().limits().want_loans(raw, length + 4, captures_all)
    elseif captured ~= NOT_ALL and mark == OPEN_MARK and length == size - 3 and raw_id == id and length >= 59 + 18 * byte(raw, 62) then
      prices[k], held_types[k] = price, held_type
    end
  end
  if not prices[k] then
    hold_states[id] = raw
  end
end
if made_limits then
  for field in pairs(made_limits.fields) do
    more_wanted[#more_wanted + 1] = field
  end
end
local last_wanted = before_more + #more_wanted
for i = 1, #more_wanted do
  wanted[before_more + i] = more_wanted[i]
end
local read = last_wanted > 1 and redis.call('HMGET', KEYS[3], unpack(wanted, 1, last_wanted)) or {}
for i = before_more + 1, last_wanted do
  stored[wanted[i]] = read[i]
end
if made_claims then
  made_claims.read()
end
local session_raw = any_hold and read[1]
if session_raw then
  -- false: there is such a session, but its bytes do not add up.
  session_highest = #session_raw == 16 and sunpack('<d', session_raw) or -1
  if not (session_highest >= 0 and session_highest <= MAX_COUNT and session_highest % 1 == 0) then
    session_highest = false
  end
end

local now_us = now * 1000
local head_of, capture_head -- of the last whole capture, see parts/plain_settle.lua
-- By number of lots, how a plain account's end is put behind all that stays.
local changes = { '<c50I5I6B', '<c68I5I6B', '<c86I5I6B', '<c104I5I6B' }
-- Beginning as the lines, so that it has a place for the answer to each.
local answers = { 'OK', 0, unpack(ARGV, 2) }
local at, hold_at = 2, 0 -- in `wanted`, of the next account; in `wanted_holds`, of the last hold named
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  local answer
  if kind == SETTLE then
    hold_at = hold_at + 1
    local id, captured = wanted_holds[hold_at], captures[hold_at]
    repeat
-- include plain_settle
    until true
    if not answer then
      if hold_states[id] == nil then
        hold_states[id] = found[hold_at]
      end
      answer = others().settle(line, id, captured)
    end
  elseif kind == HOLD or kind == CHECK then
    local account_field, key_field = wanted[at], wanted[at + 1]
    repeat
-- include plain_hold
    until true
    answer = answer or others().hold(line, kind, account_field, read[at], key_field, read[at + 1])
    at = at + 2
  elseif kind == RENEW then
    hold_at = hold_at + 1
    answer = others().renew(line)
  elseif kind == LATE then
    hold_at = hold_at + 1
    answer = others().late(line)
  elseif kind == OBSERVED then
    answer = others().observed(line)
  else
    answer = 'BADLINE'
  end
  answers[i + 1] = answer
end

if made_limits then
  made_limits.put()
end
if session_used then
  local count = #balances_written
  balances_written[count + 1], balances_written[count + 2] = session_field, spack('<dd', session_highest, now)
end
meta.open = open_holds
local pack_account = made_others and made_others.pack_account
-- include commit
if made_claims then
  made_claims.put()
end
answers[2] = meta.q
return answers
