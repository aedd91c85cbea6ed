#!lua flags=allow-oom
--[[
Open a session: hold ids are accepted only under a number opened here. The number comes
from a Postgres sequence and is never used again, in this epoch or another.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] number, <I4, not 0

Returns {word, q, answer}; answer: OK | KNOWN (opened before; nothing changed)
]]
-- include meta
-- include guard
if #ARGV ~= 2 or #ARGV[2] ~= 4 or sunpack('<I4', ARGV[2]) == 0 then
  return redis.error_reply('BADARG a session number of 4 bytes')
end
local opened = redis.call('HSETNX', KEYS[3], 's' .. ARGV[2], spack('<dd', 0, now))
return { 'OK', q, opened == 1 and 'OK' or 'KNOWN' }
