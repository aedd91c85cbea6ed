#!lua
--[[
The hot path: everything one tick of a gateway has for a shard, in one step.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
KEYS[5..]    i:<epoch>:<account>:<hash> of the lines with a claim, in their order
ARGV[1]      head, see parts/guard.lua; holds need the session
ARGV[2..65]  lines by kind: S settle, L late, R renew, O observed, then H hold, K check

Returns {word, q, answer of each line}; word: OK | NOMETA | STALE | FROZEN | REGRESS | SKEW
  H  HELD available | FREE available (an allowance, or a quota of what is free: held at price 0) | NEWID | GONE | NOACCOUNT | BLOCKED | BADKEY | SCOPE
     | PLAN number (the account is on this one, not on the line's)
     | LIMITED retry_after_ms | CAPPED retry_after_ms (0: never) type window
     | NEWREACH (a lot is limited to routes that the caller does not know yet)
     | INSUFFICIENT available | TOOLARGE window | BUSY | NOTYPE | CORRUPT
     | RUNNING hold | DONE hold | MISMATCH hold | ASK hold (another hold has the claimed key, parts/claims.lua)
  K  PASS available, or as H
  S  DONE outcome captured | NOHOLD | EXPIRED | EARLY | TOOMUCH held | NOACCOUNT | BUSY | CORRUPT
  L  DONE outcome captured | NOACCOUNT | NEWREACH | BUSY | NOTYPE | CORRUPT | ASK hold
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
-- include account
-- include journal

-- What the lines need is read in two calls: the holds they name, then accounts, keys, session.
local SETTLE, LATE, RENEW, OBSERVED, HOLD, CHECK = byte('SLROHK', 1, 6)
local stored, hold_states = {}, {} -- field -> bytes as they were read, or false where there is none
local accounts = {} -- account field -> parsed, or false where the bytes do not add up
local session_used = false

local function account_of(field, raw)
  local account = accounts[field]
  if account == nil then
    if not raw then
      return nil, 'NOACCOUNT'
    end
    account = read_account(raw) or false
    accounts[field] = account
  end
  if not account then
    return nil, 'CORRUPT'
  end
  return account
end
-- include open_hold

-- A hold's bytes as of this line, read now if nobody has yet; false where there is none.
local function state_of(id)
  local raw = hold_states[id] or written(holds_written, id)
  if raw == nil then
    raw = redis.call('HGET', KEYS[4], id)
    hold_states[id] = raw
  end
  return raw
end

-- What few lines need is made by the first that asks for it; see parts/account.lua.
local SETTLE_BYTES = 22
local SPARE_FACTS = 100 -- room in the journal for what must never wait: controls, late captures
local session_highest
local made_limits, made_claims, made_others

local function limits()
  if made_limits then
    return made_limits
  end
-- include library
-- include constants
-- include whole
-- include tallies
-- include limits
  made_limits = {
    fields = wanted_fields, want = want_limits, want_loans = want_loans, give_loans_back = give_loans_back, put = put_tallies,
    asked_by = asked_by, kept_back = kept_back, allowance_for = allowance_for, caps_of = caps_of,
    capped = capped, use = use_limits, standing = standing,
  }
  return made_limits
end

local function claims()
  if made_claims then
    return made_claims
  end
-- include library
-- include constants
-- include claims
  made_claims = {
    want = want_claim, read = read_owners, of = claim_of, kept_by_owner = kept_by_owner, take = take_claim,
    put = put_claims,
  }
  return made_claims
end

local function seldom()
  if made_others then
    return made_others
  end
-- include library
-- include constants
-- include whole
-- include lots
-- include reach
-- include hold_extras
-- include late
-- include renew
-- include observed
  made_others = {
    pool_or_new = pool_or_new, filled_lots = filled_lots, insert_lot = insert_lot, out_of_reach = out_of_reach,
    lend_reaches = lend_reaches, reach_lent = reach_lent, read_extras = read_extras, repeated_hold = repeated_hold,
    late = late, renew = renew, observed = observed,
  }
  return made_others
end

-- Holds by id, and what of each is captured; false where nobody asks.
local NOT_ALL = -1
local wanted_holds, captures = roomy(), roomy()
-- The session, then account and key of each line that holds or checks, then everything else.
local session_field = 's' .. sub(ARGV[1], 25, 28)
local wanted, others, any_hold = roomy(), {}, false
wanted[1] = session_field
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  if kind == HOLD or kind == CHECK then
    local count, scope = #wanted, byte(line, 47) or 0
    wanted[count + 1], wanted[count + 2] = 'a' .. sub(line, 14, 20), 'k' .. sub(line, 21, 27)
    if scope >= LIMITED then
      limits().want(line)
    end
    if scope >= CLAIMING and band(scope, CLAIMING) ~= 0 then
      claims().want(line)
    end
    any_hold = any_hold or kind == HOLD
  elseif kind == SETTLE then
    local count = #wanted_holds + 1
    wanted_holds[count], captures[count] = sub(line, 2, 13), #line >= SETTLE_BYTES and sunpack('<I6', line, 14)
  elseif kind == LATE or kind == RENEW then
    local count = #wanted_holds + 1
    wanted_holds[count], captures[count] = sub(line, 2, 13), kind == LATE and NOT_ALL
    if kind == LATE then
      others[#others + 1] = 'a' .. sub(line, 14, 20)
      if band(byte(line, 41) or 0, LATE_CLAIMING) ~= 0 then
        claims().want(line)
      end
    end
  end
end
if any_hold and #wanted_holds == 0 then
  -- Not to know the hold, but to meet a key of the wrong type before anything is written.
  wanted_holds[1] = sub(ARGV[#ARGV], 2, 13)
end
if #wanted_holds > 0 then
  local found = redis.call('HMGET', KEYS[4], unpack(wanted_holds))
  for i = 1, #wanted_holds do
    local raw, captured = found[i], captures[i]
    hold_states[wanted_holds[i]] = raw
    if raw and captured and #raw >= 62 then
      local captures_all = captured > 0 and captured == sunpack('<I6', raw, 31)
      if not captures_all then
        others[#others + 1] = 'a' .. sub(raw, 16, 22)
      end
      local loans = sunpack('<H', raw, 2) + 4
      if loans <= #raw then
        limits().want_loans(raw, loans, captures_all)
      end
    end
  end
end
if made_limits then
  for field in pairs(made_limits.fields) do
    others[#others + 1] = field
  end
end
local before_others = #wanted
for i = 1, #others do
  wanted[before_others + i] = others[i]
end
local read = #wanted > 1 and redis.call('HMGET', KEYS[3], unpack(wanted)) or {}
for i = before_others + 1, #wanted do
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

local capture_heads = {} -- by length, see parts/close_hold.lua
-- Beginning as the lines, so that it has a place for the answer to each.
local answers = { 'OK', 0, unpack(ARGV, 2) }
local at, hold_at = 2, 0 -- in `wanted`, of the next account; in `wanted_holds`, of the last hold named
-- What nearly every line is stands right in this loop, and leaves it by `break`: a function would cost more to make
-- than it does.
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  local answer
  -- The hold that a line makes or names; `ending` says that it is to be closed.
  local id, raw, price, credit_type, loans, outcome, captured, ending
  if kind == SETTLE then
    hold_at = hold_at + 1
    repeat
-- include settle
    until true
  elseif kind == HOLD or kind == CHECK then
    repeat
-- include hold
    until true
    at = at + 2
  elseif kind == RENEW then
    hold_at = hold_at + 1
    answer = seldom().renew(line)
  elseif kind == LATE then
    outcome, hold_at = 'c', hold_at + 1
    answer, id, raw, price, credit_type, loans, captured, ending = seldom().late(line)
  elseif kind == OBSERVED then
    answer = seldom().observed(line)
  else
    answer = 'BADLINE'
  end
  if ending then
    repeat
-- include close_hold
    until true
  end
  answers[i + 1] = answer
end

if made_limits then
  made_limits.put()
end
if session_used then
  put_balance(session_field, spack('<dd', session_highest, now))
end
-- include commit
if made_claims then
  made_claims.put()
end
answers[2] = meta.q
return answers
