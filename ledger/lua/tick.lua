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
-- include lot_reaches
-- include account
-- include journal

-- What the lines need is read in two calls: the holds they name, then accounts, keys, session.
local SETTLE, LATE, RENEW, OBSERVED, HOLD, CHECK = byte('SLROHK', 1, 6)
local stored, hold_states = {}, {} -- field -> bytes, or false where there is none
local accounts = {} -- account bytes -> parsed, or false where the bytes do not add up
local session_used = false

local function account_of(id)
  local account = accounts[id]
  if account == nil then
    local raw = stored['a' .. id]
    if not raw then
      return nil, 'NOACCOUNT'
    end
    account = read_account(raw) or false
    accounts[id] = account
  end
  if not account then
    return nil, 'CORRUPT'
  end
  return account
end

-- A field may be named twice: now and then that is cheaper than to see to it that none is.
local function read_into(found, key, fields)
  if #fields > 0 then
    local values = redis.call('HMGET', key, unpack(fields))
    for i = 1, #fields do
      found[fields[i]] = values[i]
    end
  end
end
-- include open_hold
-- What limits need is made by the first line that asks for it: every function costs time in
-- every call, and most calls have none to ask.
local HOLD_BYTES, LIMITED, HAS_CAPS = 58, 128, 4
local made_limits

local function limits()
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
-- include reach
local CLAIMING, LATE_CLAIMING = 16, 64
local made_claims

local function claims()
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
-- include hold
-- include settle
-- include late
-- include renew
-- include observed

local NOTHING = string.rep('\0', 6)

local function captures_all(line, raw)
  local price = sub(raw, 31, 36)
  return sub(line, 14, 19) == price and price ~= NOTHING
end

local wanted_holds, wanted, callers, any_hold = {}, {}, {}, false
local session_field = 's' .. sub(ARGV[1], 25, 28)
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  if kind == HOLD or kind == CHECK then
    local caller = sub(line, 14, 27)
    if not callers[caller] then
      callers[caller] = true
      wanted[#wanted + 1] = 'a' .. sub(line, 14, 20)
      wanted[#wanted + 1] = 'k' .. sub(line, 21, 27)
    end
    local scope = byte(line, 47) or 0
    if scope >= LIMITED then
      limits().want(line)
    end
    if bit.band(scope, CLAIMING) ~= 0 then
      claims().want(line)
    end
    if kind == HOLD and not any_hold then
      any_hold = true
      wanted[#wanted + 1] = session_field
      if #wanted_holds == 0 then
        -- Not to know the hold, but to meet a key of the wrong type before anything is written.
        wanted_holds[1] = sub(line, 2, 13)
      end
    end
  elseif kind == SETTLE or kind == LATE or kind == RENEW then
    wanted_holds[#wanted_holds + 1] = sub(line, 2, 13)
    if kind == LATE then
      wanted[#wanted + 1] = 'a' .. sub(line, 14, 20)
      if bit.band(byte(line, 41) or 0, LATE_CLAIMING) ~= 0 then
        claims().want(line)
      end
    end
  end
end
read_into(hold_states, KEYS[4], wanted_holds)
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  if kind == SETTLE or kind == LATE then
    local raw = hold_states[sub(line, 2, 13)]
    -- A settlement of the whole hold touches no account.
    if raw and #raw >= 62 and not (kind == SETTLE and captures_all(line, raw)) then
      wanted[#wanted + 1] = 'a' .. sub(raw, 16, 22)
    end
    local loans = raw and #raw >= 62 and byte(raw, 2) + 256 * byte(raw, 3) + 4
    if loans and loans <= #raw then
      limits().want_loans(raw, loans, kind == SETTLE and captures_all(line, raw))
    end
  end
end
if made_limits then
  for field in pairs(made_limits.fields) do
    wanted[#wanted + 1] = field
  end
end
read_into(stored, KEYS[3], wanted)
if made_claims then
  made_claims.read()
end
local session_raw = stored[session_field]
if session_raw then
  -- false: there is such a session, but its bytes do not add up.
  session_highest = #session_raw == 16 and sunpack('<d', session_raw) or false
  if session_highest and not whole(session_highest) then
    session_highest = false
  end
end

local answers = { 'OK', 0 }
for i = 2, #ARGV do
  local line = ARGV[i]
  local kind = byte(line)
  local answer
  if kind == HOLD then
    answer = hold(line, false)
  elseif kind == SETTLE then
    answer = settle(line)
  elseif kind == CHECK then
    answer = hold(line, true)
  elseif kind == RENEW then
    answer = renew(line)
  elseif kind == LATE then
    answer = late(line)
  elseif kind == OBSERVED then
    answer = observed(line)
  else
    answer = 'BADLINE'
  end
  answers[i + 1] = answer
end

for _, key in pairs(keys) do
  if key.changed then
    put_balance('k' .. key.changed, spack('<Bc7BI6d', key.status, key.account, key.scopes, key.expiry, key.tat))
  end
end
if made_limits then
  made_limits.put()
end
if session_used then
  put_balance(session_field, spack('<dd', session_highest, now))
end
local refusal = commit()
if refusal then
  return refusal
end
if made_claims then
  made_claims.put()
end
answers[2] = meta.q
return answers
