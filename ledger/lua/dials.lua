#!lua flags=allow-oom
--[[
Set the journal's cap and the windows; credit types that are new are added.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] J, <d: facts the journal may hold beyond what is posted
ARGV[3] windows, each <B d: type, X (units that may be held and not yet posted)

Returns {word, q, answer}; answer: OK
]]
-- include meta
-- include guard
-- include windows
-- include whole
if #ARGV ~= 3 or #ARGV[2] ~= 8 or #ARGV[3] % 9 ~= 0 then
  return redis.error_reply('BADARG the cap and windows of 9 bytes')
end
local cap = sunpack('<d', ARGV[2])
if not whole(cap) then
  return redis.error_reply('BADARG the cap is a whole number')
end
for at = 1, #ARGV[3], 9 do
  local credit_type, units = sunpack('<Bd', ARGV[3], at)
  if credit_type == 0 or not whole(units) then
    return redis.error_reply('BADARG a type from 1 on and a whole number')
  end
  local w = window_of(windows, credit_type)
  if not w then
    w = #windows + 1
    windows[w], windows[w + 1], windows[w + 2], windows[w + 3] = credit_type, 0, 0, 0
  end
  windows[w + 4] = units
end
redis.call('SET', KEYS[1], pack_meta(epoch, q, posted_q, cap, now, open_holds, frozen, chain, windows))
return { 'OK', q, 'OK' }
