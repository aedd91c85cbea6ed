#!lua flags=allow-oom
--[[
Forget an idle session; its late calls are answered NEWID from then on.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] number, <I4
ARGV[3] the record as read: used since then means not idle

Returns {word, q, answer}; answer: OK (gone, now or before) | CHANGED
]]
-- include meta
-- include guard
if #ARGV ~= 3 or #ARGV[2] ~= 4 then
  return redis.error_reply('BADARG a session number of 4 bytes and its record')
end
local field = 's' .. ARGV[2]
local stored = redis.call('HGET', KEYS[3], field)
if stored and stored ~= ARGV[3] then
  return { 'OK', q, 'CHANGED' }
end
redis.call('HDEL', KEYS[3], field)
return { 'OK', q, 'OK' }
