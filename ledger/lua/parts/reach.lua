-- Lots that are limited to some routes. A reach is a number that stands for a set of routes, by name;
-- which of them have the route of a request, its gateway says: a line whose scope has bit 64 (LATE: its
-- reason bit 128) goes on, before its detail and behind its limits, with
--   <H, bytes  the highest reach the gateway knew, and a bit for each from 1 on: whether it has this route
-- A line without knew none. Who does not know a lot's reach is told so, and asks again when it does.
-- What a hold took from limited lots stands behind its fact in `h`, like what limits lent it:
--   <c1 c4 c4 c1 I4 I6  'l', zeros, zeros, 'L', reach, lot
local REACHES, LATE_REACHES = 64, 128
local NO_PLACE = string.rep('\0', 4)

-- Where what follows the block begins; nil if the line ends before.
local function behind_reaches(line, at)
  if #line < at + 1 then
    return nil
  end
  local ends = at + 2 + floor((sunpack('<H', line, at) + 7) / 8)
  return #line >= ends - 1 and ends or nil
end

local function within_reach(line, at, reach)
  local bits = byte(line, at + 2 + floor((reach - 1) / 8))
  return bit.band(bits, 2 ^ ((reach - 1) % 8)) ~= 0
end

-- The lots that a request may not use and the live units in them; and whether its gateway knows too little.
-- `at` is where its block begins, nil where it has none.
local function out_of_reach(account, p, line, at)
  local barred, units, unknown = {}, 0, false
  local highest = at and sunpack('<H', line, at) or 0
  for k = p + 4, p + 4 * account[p + 3], 4 do
    local reach = account.reaches[account[k]]
    if reach and not (reach <= highest and within_reach(line, at, reach)) then
      barred[account[k]] = true
      if account[k + 2] > now and account[k + 3] > 0 then
        units = units + account[k + 3]
        unknown = unknown or reach > highest
      end
    end
  end
  return barred, units, unknown
end

-- The reach of a lot of an open hold, which the account has forgotten with the empty lot; nil if none.
local function reach_lent(raw, loans, lot)
  for at = loans, #raw, 20 do
    local kind, reach, lent = sunpack('<c1I4I6', raw, at + 9)
    if kind == 'L' and lent == lot then
      return reach
    end
  end
end
