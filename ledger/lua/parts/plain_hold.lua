-- A hold as nearly all are, in one go: nothing is asked besides the key's own rate, and the account's end has all that
-- decides (parts/account.lua). Only what plainly passes is done here; hold.lua decides everything else, with
-- its reasons. A part of the loop in tick.lua, as that is.
if kind == CHECK or #line < HOLD_BYTES or #line > HOLD_BYTES + MAX_DETAIL then
  break
end
-- An earlier line of this call may have changed both.
local changed, account_raw, key_raw = fresh[account_field], read[at], read[at + 1]
if changed then
  account_raw, key_raw = changed, others().written(balances_written, key_field) or key_raw
end
if changed == false or not account_raw or #account_raw < PLAIN_BYTES or not key_raw or #key_raw ~= KEY_BYTES then
  break
end
local n, id_session, account_id, _, held_type, ceiling, _, _, scope, interval, burst =
  sunpack('>I8I4<I7I7BI6I6I6BI5I6', line, 2)
local account_type, lots, rest, soonest, lot, priority, expiry, aseq, remaining, ends =
  sunpack('<BBI6I6I5BI6I5I6B', account_raw, #account_raw - 37)
local key_status, key_account, scopes, key_expiry, tat = sunpack('<BI7BI6d', key_raw)
local window = meta.by_type[held_type]
if scope ~= SCOPE_CALL or not session_highest or n <= session_highest or n > MAX_N
    or id_session ~= session or session == 0 or ceiling < 1 or not window
    -- The account: in use, its bytes add up, nothing is due, its first lot has enough for all of it.
    or ends ~= PLAIN_END + 1 or #account_raw ~= PLAIN_BYTES + LOT_BYTES * lots or account_type ~= held_type
    or soonest <= now or remaining < ceiling or remaining + rest > MAX_AMOUNT
    -- The key: of this account, in use, without caps, and within its rate.
    or key_account ~= account_id or account_id > MAX_COUNT or key_status ~= 1 or key_expiry <= now
    or scopes % 2 == 0 or scopes >= HAS_CAPS
    or not (tat >= 0 and tat <= MAX_COUNT and tat % 1 == 0) or interval > 0 and tat > now_us + burst
    -- The window and the journal have room.
    or window.H - window.K + ceiling > window.X or window.H > MAX_COUNT / 2
    or fact_count > room - 2 * open_holds - SPARE_FACTS then
  break
end

local count = #balances_written
if interval > 0 then
  balances_written[count + 1] = key_field
  balances_written[count + 2] = spack('<c15d', key_raw, (tat > now_us and tat or now_us) + interval)
  count = count + 2
end
aseq, remaining = aseq + 1, remaining - ceiling
account_raw = spack(changes[lots] or format('<c%dI5I6B', #account_raw - 12), account_raw, aseq, remaining, ends)
fresh[account_field] = account_raw
balances_written[count + 1], balances_written[count + 2] = account_field, account_raw
window.H = window.H + ceiling
open_holds = open_holds + 1
session_highest, session_used = n, true
local id = sub(line, 2, 13)
local detail = #line > HOLD_BYTES and sub(line, HOLD_BYTES + 1) or ''
local fact = spack('<c1Hc45I5i8BI5BI6I6c0', 'H', 77 + #detail, sub(line, 2, 46), aseq, remaining + rest, 1,
  lot, priority, expiry, ceiling, detail)
facts[#facts + 1] = fact
fact_count = fact_count + 1
count = #holds_written
holds_written[count + 1], holds_written[count + 2] = id, fact
answer = remaining + rest
