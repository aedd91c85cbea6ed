-- The end of a hold as nearly all are: captured, all of it or less, from one lot. What is different is left to
-- settle.lua and close_hold.lua, as in plain_hold.lua. `held_type` is there only where the line captures something
-- and the hold is open and its bytes add up, without loans behind it; its price and account only where that is less.
-- What an earlier line of this call has done to the hold is newer than what was read.
if not held_type or hold_states[id] ~= nil then
  break
end
if windows[w] ~= held_type then
  w = window_of(windows, held_type)
end
if not w then
  break
end
local price = prices and prices[hold_at]
if not price then
  price = captured
  -- No balance moves: neither account nor key is touched, and there is no aseq.
  -- Its fact in two pieces: the head, of a length that nearly all have, and what the line has of it.
  if #line ~= head_of then
    head_of, capture_head = #line, spack('<c1H', 'F', #line - 9)
  end
  local pieces = #facts
  facts[pieces + 1], facts[pieces + 2] = capture_head, sub(line, 10)
else
  local raw, at_account = found[hold_at], account_places[hold_at]
  local account_field = wanted[at_account]
  local place = fresh[account_field]
  local account_raw = place and balances_written[place + 1] or read[at_account]
  if place == false or not account_raw or #account_raw < PLAIN_BYTES then
    break
  end
  local account_type, lots, rest, soonest, lot, _, _, aseq, remaining, ends =
    sunpack('<BBI6I6I5BI6I5I6B', account_raw, #account_raw - 37)
  local from_lots, from_lot, _, _, amount = sunpack('<BI5BI6I6', raw, 62)
  local left = price - captured
  local balance = remaining + rest + left
  if ends ~= PLAIN_ACTIVE or #account_raw ~= PLAIN_BYTES + LOT_BYTES * lots or account_type ~= held_type
      or soonest <= now or from_lots ~= 1 or from_lot ~= lot or amount ~= price
      or balance > MAX_AMOUNT then
    break
  end
  aseq, remaining = aseq + 1, remaining + left
  place = place or #balances_written + 1
  balances_written[place] = account_field
  balances_written[place + 1] =
    spack(changes[lots] or format('<c%dI5I6B', #account_raw - 12), account_raw, aseq, remaining, ends)
  fresh[account_field] = place
  facts[#facts + 1] = spack('<c1Hc12c1I6c3c7BI5i8I6BI5I6c0', 'S', 37 + #line, id, 'c', captured,
    sub(line, 22), account_ids[hold_at], account_type, aseq, balance, 0, 1, lot, left, sub(line, 25))
end
fact_count = fact_count + 1
windows[w + 2] = windows[w + 2] + price
open_holds = open_holds > 0 and open_holds - 1 or 0
local mark = sub(line, 2, 9)
hold_states[id] = mark
local count = #holds_written
holds_written[count + 1], holds_written[count + 2] = id, mark
answer = captured
