-- A value of `h`: an open hold is the bytes of its fact, and what limits lent it (parts/limits.lua);
-- a closed one the mark
--   <c1 c1 I6  'D', outcome (c captured, v void, x expired, l late), captured
-- The fact's account begins at byte 16, its key at 23, the deadline at 43, the balance after it at 54, the number of lots at 62.

-- Returns outcome and captured of a closed mark, nil if it is none.
local function read_mark(raw)
  if #raw == MARK_BYTES and byte(raw) == CLOSED_MARK then
    local _, outcome, captured = sunpack('<c1c1I6', raw)
    return outcome, captured
  end
end

-- Of an open hold price, type, and where behind its fact the loans begin; nil if the bytes do not add up.
local function read_hold(raw, id)
  local size = #raw
  if size < 62 then
    return nil
  end
  local kind, length, fact_id, _, _, credit_type, price = sunpack('<BHc12I8I6BI6', raw)
  if kind ~= OPEN_MARK or length > size - 3 or (size - 3 - length) % 20 > 0 or fact_id ~= id
      or length < 59 + 18 * byte(raw, 62) then
    return nil
  end
  return price, credit_type, length + 4
end

-- Where an open hold's units came from, four numbers a lot; nil if they are not its price.
-- Apart from the rest because a capture of the whole hold does not ask.
local function lots_of(raw, price)
  local count = byte(raw, 62)
  local lots = { sunpack(count == 1 and '<I5BI6I6' or '<' .. string.rep('I5BI6I6', count), raw, 63) }
  lots[4 * count + 1] = nil
  local total = 0
  for k = 4, #lots, 4 do
    total = total + lots[k]
  end
  if total == price then
    return lots
  end
end
