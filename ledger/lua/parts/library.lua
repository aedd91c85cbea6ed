-- Short names for what the libraries have. Functions that are made only when they are needed include this anew:
-- each name that a function takes from around it costs time when the function is made.
local spack, sunpack, call = struct.pack, struct.unpack, redis.call
local sub, byte, format, floor, band = string.sub, string.byte, string.format, math.floor, bit.band
