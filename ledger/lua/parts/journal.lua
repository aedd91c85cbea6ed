-- What a call says to the journal, and what it writes with it (parts/commit.lua).
-- The lists have places for what many calls put into them: to let one grow costs more than to fill it.
local facts, fact_count = { '', nil, nil, nil, nil, nil, nil, nil }, 0 -- the entry's head, then the bytes of all facts, in pieces
local changed_accounts = {} -- field -> account
local balances_written = { nil, nil, nil, nil, nil, nil, nil, nil } -- field, value, field, value...
local holds_written = { nil, nil, nil, nil, nil, nil, nil, nil } -- the same
