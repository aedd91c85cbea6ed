-- What lines, keys and accounts are bound by. Included anew where functions are made only when they are needed,
-- as parts/library.lua is.
-- include plain_constants
local LATE_BYTES = 43
local LIMITED, CLAIMING, LATE_CLAIMING = 128, 16, 64 -- bits of a line's scope, of a late line's reason
local MAX_LOTS = 255 -- what the count's byte can say
local LIVE_LOTS = 32 -- more wait in Postgres until one of these is empty
local MOST_REACHES = 4096 -- see parts/lot_reaches.lua
local PLAIN, PLAIN_END = 64, 192 -- of an account, see parts/account.lua
local CLOSED_MARK, MARK_BYTES = 68, 8 -- 'D', see parts/open_hold.lua
