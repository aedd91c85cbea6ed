-- A value of `h`: an open hold is the bytes of its fact, and what limits lent it (parts/limits.lua);
-- a closed one the mark
--   <c1 c1 I6  'D', outcome (c captured, v void, x expired, l late), captured
local CLOSED_MARK = byte('D')

local function closed_mark(outcome, captured)
  return spack('<c1c1I6', 'D', outcome, captured)
end

-- Returns outcome and captured of a closed mark, nil if it is none.
local function read_mark(raw)
  if #raw == 8 and byte(raw) == CLOSED_MARK then
    local _, outcome, captured = sunpack('<c1c1I6', raw)
    return outcome, captured
  end
end

-- The parsed fact of an open hold, nil if the bytes do not add up.
local function read_hold(raw, id)
  local size = #raw
  if size < 62 then
    return nil
  end
  local kind, length, fact_id, account, key, credit_type, price, version, rule, deadline, _, balance, count, at =
    sunpack('<c1Hc12c7c7BI6I4HI6I5i8B', raw)
  if kind ~= 'H' or length > size - 3 or (size - 3 - length) % 20 > 0 or fact_id ~= id or length < 59 + 18 * count then
    return nil
  end
  return {
    account = account, key = key, type = credit_type, price = price, deadline = deadline,
    balance = balance, count = count, raw = raw, at = at, loans = length + 4,
  }
end

-- The reach of a lot of an open hold, which the account has forgotten with the empty lot; nil if none.
local function reach_lent(open, lot)
  for at = open.loans, #open.raw, 20 do
    local kind, reach, lent = sunpack('<c1I4I6', open.raw, at + 9)
    if kind == 'L' and lent == lot then
      return reach
    end
  end
end

-- Where an open hold's units came from, four numbers a lot; nil if they are not its price.
-- Apart from the rest because a capture of the whole hold does not ask.
local function lots_of(open)
  local lots = { sunpack(lot_format(open.count), open.raw, open.at) }
  lots[#lots] = nil
  local total = 0
  for k = 4, #lots, 4 do
    total = total + lots[k]
  end
  if total == open.price then
    return lots
  end
end
