-- What a call says to the journal, and what it writes with it (parts/commit.lua).
-- include windows

-- A list with places for what a call puts into it, of few lines or of many: to let one grow costs more than to fill it.
local function roomy()
  if #ARGV > 5 then
    return { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
      nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
  end
  return { nil, nil, nil, nil, nil, nil, nil, nil }
end

local facts, fact_count = roomy(), 0 -- the entry's head, then the bytes of all facts, in pieces
facts[1] = ''
local changed_accounts -- field -> account; nil where none has changed
local balances_written, holds_written = roomy(), roomy() -- field, value, field, value...
