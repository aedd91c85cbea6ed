-- What a call says to the journal, and what it writes with it (parts/commit.lua).

-- A list with places for what most calls put into it: to let it grow costs more than to fill it.
local function roomy()
  return { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
end

local facts, fact_count = roomy(), 0 -- the bytes of all facts, in pieces
local changed_accounts = {} -- field -> account
local balances_written, holds_written = roomy(), roomy() -- field, value, field, value...
