-- SETTLE: the one ending of a hold. Line 'S': the mark of a capture ('D', 'c', captured I6), id c12, reason B, status H,
-- detail. So the line has in one piece each what a capture leaves behind: its mark, and from byte 10 on its fact.
-- Reasons 1..19 capture, 20..39 void, 40 expires (only when the deadline has passed).
-- Bytes 22 on of the line, reason, status and detail, go into any other fact as they are. Every settlement that
-- parts/plain_settle.lua leaves; returns the answer.
local function settle(line)
  if #line < SETTLE_BYTES or #line > SETTLE_BYTES + MAX_DETAIL then
    return 'BADLINE'
  end
  local mark, captured, id, reason = sunpack('<HI6c12B', line, 2)
  local outcome = reason >= 1 and reason < 20 and 'c' or reason >= 20 and reason < 40 and 'v' or reason == 40 and 'x'
  if mark ~= CAPTURE_MARK or not outcome or (outcome ~= 'c' and captured > 0) then
    return 'BADLINE'
  end
  local raw = state_of(id)
  if not raw then
    return 'NOHOLD'
  end
  local closed, closed_amount = read_mark(raw)
  if closed == 'c' then
    return closed_amount
  elseif closed then
    return closed == 'x' and captured > 0 and 'EXPIRED' or format('DONE %s %d', closed, closed_amount)
  end
  local price, credit_type, loans = read_hold(raw, id)
  if not price then
    return 'CORRUPT'
  elseif captured > price then
    return format('TOOMUCH %.0f', price)
  elseif outcome == 'x' and sunpack('<I6', raw, 43) > now then
    return 'EARLY'
  end
  return close_hold(id, raw, price, credit_type, loans, outcome, captured, sub(line, 22))
end
