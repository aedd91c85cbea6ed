-- What is counted, and how wide it is; see parts/limits.lua.
local TALLY_BYTES = 17
local PERIODIC = { [byte('Q')] = true, [byte('A')] = true, [byte('C')] = true }
local A_RATE, A_CAP = byte('Rc', 1, 2)
