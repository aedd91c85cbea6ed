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
  local window = meta.by_type[credit_type]
  if not window then
    window = { type = credit_type, H = 0, R = 0, K = 0 }
    meta.windows[#meta.windows + 1] = window
    meta.by_type[credit_type] = window
  end
  window.X = units
end
meta.J = cap
meta.clock = now
redis.call('SET', KEYS[1], pack_meta(meta))
return { 'OK', meta.q, 'OK' }
