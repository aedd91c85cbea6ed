#!lua flags=allow-oom
--[[
Begin an epoch, once Postgres has it. What older epochs left is out of reach from then on:
the epoch is part of every other key's name.

KEYS[1] m
ARGV[1] head; ignored
ARGV[2] the new epoch, <d
ARGV[3] J, <d: facts the journal may hold beyond what is posted
ARGV[4] credit types, each <B d d: type, units of the holds open in Postgres, X
ARGV[5] number of those holds, <d

Returns {word, q, answer}; answer: OK | OLD (this epoch or a later one is open; nothing changed)
]]
-- include meta
-- include windows
-- include whole
if #ARGV ~= 5 or #ARGV[2] ~= 8 or #ARGV[3] ~= 8 or #ARGV[4] % 17 ~= 0 or #ARGV[5] ~= 8 then
  return redis.error_reply('BADARG epoch, cap, types, open holds')
end
local epoch, cap, open = sunpack('<d', ARGV[2]), sunpack('<d', ARGV[3]), sunpack('<d', ARGV[5])
local windows, seen = {}, {} -- see parts/meta.lua
for at = 1, #ARGV[4], 17 do
  local credit_type, held, units = sunpack('<Bdd', ARGV[4], at)
  if credit_type == 0 or seen[credit_type] or not whole(held) or not whole(units) then
    return redis.error_reply('BADARG types from 1 on, each once, and whole numbers')
  end
  seen[credit_type] = true
  local w = #windows + 1
  windows[w], windows[w + 1], windows[w + 2], windows[w + 3], windows[w + 4] = credit_type, held, 0, 0, units
end
if not whole(epoch) or epoch < 1 or not whole(cap) or not whole(open) then
  return redis.error_reply('BADARG whole numbers, the epoch from 1 on')
end
local before, q_before = read_meta(redis.call('GET', KEYS[1]))
if before and before >= epoch then
  return { 'OK', q_before, 'OLD' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)
redis.call('SET', KEYS[1], pack_meta(epoch, 0, 0, cap, now, open, 0, string.rep('0', 16), windows))
return { 'OK', 0, 'OK' }
