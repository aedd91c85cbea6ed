-- What lines, keys and accounts are bound by. Included anew where functions are made only when they are needed,
-- as parts/library.lua is.
local HOLD_BYTES, KEY_BYTES, LATE_BYTES = 58, 23, 43
local MAX_AMOUNT, MAX_N, MAX_DETAIL = 9e13, 9007199254740991, 1024
local LIMITED, CLAIMING, LATE_CLAIMING = 128, 16, 64 -- bits of a line's scope, of a late line's reason
local SCOPE_CALL, HAS_CAPS = 1, 4 -- bits of a key's scopes
local MAX_LOTS = 255 -- what the count's byte can say
local LIVE_LOTS = 32 -- more wait in Postgres until one of these is empty
local MOST_REACHES = 4096 -- see parts/lot_reaches.lua
local PLAIN, PLAIN_END, PLAIN_BYTES, LOT_BYTES = 64, 192, 44, 18 -- of an account, see parts/account.lua
local OPEN_MARK, CLOSED_MARK, MARK_BYTES = 72, 68, 8 -- 'H' and 'D', see parts/open_hold.lua
