#!lua flags=allow-oom
--[[
Announce that an account is about to be loaded. The snapshot is read from Postgres after
this, so nobody can have loaded and changed the account in between without the token showing it.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>  KEYS[5] t:<epoch>:<account>
ARGV[1] head, see parts/guard.lua
ARGV[2] account, I7
ARGV[3] token, any bytes that nobody else uses

Returns {word, q, answer}; answer: LOADED (there already; no token left) | OK
]]
-- include meta
-- include guard
local TOKEN_MS = 5000
if #ARGV ~= 3 or #ARGV[2] ~= 7 or #ARGV[3] == 0 then
  return redis.error_reply('BADARG an account of 7 bytes and a token')
end
if redis.call('HEXISTS', KEYS[3], 'a' .. ARGV[2]) == 1 then
  return { 'OK', q, 'LOADED' }
end
redis.call('SET', KEYS[5], ARGV[3], 'PX', TOKEN_MS)
return { 'OK', q, 'OK' }
