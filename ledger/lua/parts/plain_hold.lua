-- A hold as nearly all are, in one go: nothing is asked besides the key's own rate, and the account's end has all that
-- decides (parts/account.lua). Only what plainly passes is done here; hold.lua decides everything else, with
-- its reasons. A part of the loop in tick.lua, as that is.
if #line > HOLD_BYTES + MAX_DETAIL then
  break
end
local place, key_place, account_raw, key_raw = fresh[account_field], nil, read[at], read[at + 1]
if place then -- an earlier line of this call has changed the account, and perhaps the key
  account_raw = balances_written[place + 1]
  for i = #balances_written - 1, 1, -2 do
    if balances_written[i] == key_field then
      key_place, key_raw = i, balances_written[i + 1]
      break
    end
  end
end
if place == false or not account_raw or #account_raw < PLAIN_BYTES or not key_raw or #key_raw ~= KEY_BYTES then
  break
end
local length, n, id_session, account_id, _, held_type, ceiling, _, _, scope, interval, burst =
  sunpack('<H>I8I4<I7I7BI6I6I6BI5I6', line, 2)
local account_type, lots, rest, soonest, lot, priority, expiry, aseq, remaining, ends =
  sunpack('<BBI6I6I5BI6I5I6B', account_raw, #account_raw - 37)
local balance = remaining + rest
local key_status, key_account, scopes, key_expiry, tat = sunpack('<BI7BI6d', key_raw)
if windows[w] ~= held_type then
  w = window_of(windows, held_type)
end
local held = w and windows[w + 1]
if scope ~= SCOPE_CALL or not session_highest or n <= session_highest or n > MAX_N
    or id_session ~= session or session == 0 or ceiling < 1 or not w
    or length ~= PLAIN_FACT + #line - HOLD_BYTES -- with it the line begins as the fact
    -- The account: in use, its bytes add up, nothing is due, its first lot has enough for all of it.
    or ends ~= PLAIN_ACTIVE or #account_raw ~= PLAIN_BYTES + LOT_BYTES * lots or account_type ~= held_type
    or soonest <= now or remaining < ceiling or balance > MAX_AMOUNT
    -- The key: of this account, in use, without caps, and within its rate.
    or key_account ~= account_id or account_id > MAX_COUNT or key_status ~= 1 or key_expiry <= now
    or scopes % 2 == 0 or scopes >= HAS_CAPS
    or not (tat >= 0 and tat <= MAX_COUNT and tat % 1 == 0) or interval > 0 and tat > now_us + burst
    -- The window and the journal have room.
    or held - windows[w + 3] + ceiling > windows[w + 4] or held > MOST_HELD
    or fact_count > room - 2 * open_holds - SPARE_FACTS then
  break
end

if interval > 0 then
  key_place = key_place or #balances_written + 1
  balances_written[key_place] = key_field
  balances_written[key_place + 1] = spack('<c15d', key_raw, (tat > now_us and tat or now_us) + interval)
end
aseq, remaining, balance = aseq + 1, remaining - ceiling, balance - ceiling
place = place or #balances_written + 1
balances_written[place] = account_field
balances_written[place + 1] =
  spack(changes[lots] or format('<c%dI5I6B', #account_raw - 12), account_raw, aseq, remaining, ends)
fresh[account_field] = place
windows[w + 1] = held + ceiling
open_holds = open_holds + 1
session_highest, session_used = n, true
local id = sub(line, 4, 15)
local detail = #line > HOLD_BYTES and sub(line, HOLD_BYTES + 1) or ''
local fact = spack('<c48I5i8BI5BI6I6c0', line, aseq, balance, 1, lot, priority, expiry, ceiling, detail)
facts[#facts + 1] = fact
fact_count = fact_count + 1
local count = #holds_written
holds_written[count + 1], holds_written[count + 2] = id, fact
answer = balance
