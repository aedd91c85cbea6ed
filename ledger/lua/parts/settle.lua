-- SETTLE: the one ending of a hold. Line 'S': id c12, captured I6, reason B, status H, detail.
-- Reasons 1..19 capture, 20..39 void, 40 expires (only when the deadline has passed).
-- Bytes 20 on of the line, reason, status and detail, go into the fact as they are: its `ending`.
-- A part of the loop in tick.lua: leaves it with an answer, or with what parts/close_hold.lua then closes.
if #line < SETTLE_BYTES or #line > SETTLE_BYTES + 1024 then
  answer = 'BADLINE'
  break
end
local reason = byte(line, 20)
id, captured = wanted_holds[hold_at], captures[hold_at]
outcome = reason >= 1 and reason < 20 and 'c' or reason >= 20 and reason < 40 and 'v' or reason == 40 and 'x'
if not outcome or (outcome ~= 'c' and captured > 0) then
  answer = 'BADLINE'
  break
end
raw = state_of(id)
if not raw then
  answer = 'NOHOLD'
  break
end
local closed, closed_amount = read_mark(raw)
if closed then
  answer = closed == 'x' and captured > 0 and 'EXPIRED' or format('DONE %s %d', closed, closed_amount)
  break
end
price, credit_type, loans = read_hold(raw, id)
if not price then
  answer = 'CORRUPT'
elseif captured > price then
  answer = format('TOOMUCH %.0f', price)
elseif outcome == 'x' and sunpack('<I6', raw, 43) > now then
  answer = 'EARLY'
else
  ending = sub(line, 20)
end
