-- What the lines, keys and accounts are bound by that nearly all calls meet; parts/constants.lua has the others.
local HOLD_BYTES, KEY_BYTES = 60, 23
local PLAIN_FACT = 77 -- bytes of a plain hold's fact behind its length, besides the detail
local MAX_AMOUNT, MAX_N, MAX_DETAIL = 9e13, 9007199254740991, 1024
local MOST_HELD = 4.5e15 -- units ever, in a shard
local SCOPE_CALL, HAS_CAPS = 1, 4 -- bits of a key's scopes
local PLAIN_ACTIVE, PLAIN_BYTES, LOT_BYTES = 193, 44, 18 -- of an account, see parts/account.lua
local OPEN_MARK = 72 -- 'H', see parts/open_hold.lua
