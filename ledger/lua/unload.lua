#!lua flags=allow-oom
--[[
Forget a loaded account and its keys, so that whoever needs it next loads it from Postgres. The
caller knows that Postgres has every fact up to the record it read. Holds stay: they are the same
there, and a load leaves those alone that this epoch knows.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] account, I7
ARGV[3] its record as read: another one means that it has moved since
ARGV[4] its keys, I7 each

Returns {word, q, answer}; answer: OK (gone, now or before) | CHANGED
]]
-- include meta
-- include guard
local KEY_BYTES, MOST_KEYS = 7, 1000
if #ARGV ~= 4 or #ARGV[2] ~= 7 or #ARGV[4] % KEY_BYTES ~= 0 or #ARGV[4] > KEY_BYTES * MOST_KEYS then
  return redis.error_reply('BADARG an account, its record, and at most 1000 keys')
end
local stored = redis.call('HGET', KEYS[3], 'a' .. ARGV[2])
if stored and stored ~= ARGV[3] then
  return { 'OK', q, 'CHANGED' }
end
local fields = { 'a' .. ARGV[2] }
for at = 1, #ARGV[4], KEY_BYTES do
  fields[#fields + 1] = 'k' .. sub(ARGV[4], at, at + KEY_BYTES - 1)
end
redis.call('HDEL', KEYS[3], unpack(fields))
return { 'OK', q, 'OK' }
