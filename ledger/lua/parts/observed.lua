-- OBSERVED: a request priced but not charged; no balance moves. Line 'O':
--   id c12 account I7 key I7 type B amount I6 version I4 rule H status H, detail
-- The fact is the line. A repeat makes a second fact, which posting ignores.
local OBSERVED_BYTES = 42

local function observed(line)
  if #line < OBSERVED_BYTES or #line > OBSERVED_BYTES + 1024 then
    return 'BADLINE'
  end
  if fact_count > room - 2 * open_holds - SPARE_FACTS then
    return 'BUSY'
  end
  append('O', sub(line, 2))
  return 'OK'
end
