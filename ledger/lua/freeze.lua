#!lua flags=allow-oom
--[[
Stop an epoch: every other script but OPEN answers FROZEN from now on. A repeat is harmless.

KEYS[1] m
ARGV[1] head; only its epoch counts

Returns {word, q}; word: OK | NOMETA | STALE (another epoch; nothing changed)
]]
-- include meta
-- include windows
if #ARGV ~= 1 or #ARGV[1] ~= 28 then
  return redis.error_reply('BADARG the head must have 28 bytes')
end
local epoch, q, posted_q, journal_cap, clock, open_holds, _, chain, windows = read_meta(redis.call('GET', KEYS[1]))
if not epoch then
  return { 'NOMETA', 0 }
end
if epoch ~= sunpack('<d', ARGV[1]) then
  return { 'STALE', q }
end
redis.call('SET', KEYS[1], pack_meta(epoch, q, posted_q, journal_cap, clock, open_holds, 1, chain, windows))
return { 'OK', q }
