#!lua flags=allow-oom
--[[
Stop an epoch: every other script but OPEN answers FROZEN from now on. A repeat is harmless.

KEYS[1] m
ARGV[1] head; only its epoch counts

Returns {word, q}; word: OK | NOMETA | STALE (another epoch; nothing changed)
]]
-- include meta
if #ARGV ~= 1 or #ARGV[1] ~= 28 then
  return redis.error_reply('BADARG the head must have 28 bytes')
end
local meta = read_meta(redis.call('GET', KEYS[1]))
if not meta then
  return { 'NOMETA', 0 }
end
if meta.epoch ~= sunpack('<d', ARGV[1]) then
  return { 'STALE', meta.q }
end
meta.frozen = 1
redis.call('SET', KEYS[1], pack_meta(meta))
return { 'OK', meta.q }
