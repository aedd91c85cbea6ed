#!lua flags=allow-oom
--[[
Write what limits had counted, as Postgres has it, before the account is loaded: so nobody can
have counted more by it in this epoch. What is there already is newer and stays.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] the snapshot's epoch, <d
ARGV[3..] field, value: see parts/limits.lua

Returns {word, q, answer}; answer: OK (there, now or before) | STALE (snapshot of another epoch)
  | CORRUPT (the bytes do not add up)
]]
-- include meta
-- include guard
-- include whole
-- include tally_kinds
local FIELD_BYTES, MOST_ARGS = 13, 4002
if #ARGV < 2 or #ARGV[2] ~= 8 or #ARGV % 2 > 0 or #ARGV > MOST_ARGS then
  return redis.error_reply('BADARG an epoch, fields and values')
end
if sunpack('<d', ARGV[2]) ~= epoch then
  return { 'OK', q, 'STALE' }
end
for i = 3, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if #field ~= FIELD_BYTES or sub(field, 1, 1) ~= 'l' or value == '' or #value % TALLY_BYTES ~= 0 then
    return { 'OK', q, 'CORRUPT' }
  end
  for at = 1, #value, TALLY_BYTES do
    local kind, _, number = byte(value, at + 4), sunpack('<I4d', value, at + 5)
    if not (PERIODIC[kind] or kind == A_CAP) or not whole(number) then
      return { 'OK', q, 'CORRUPT' }
    end
  end
end
for i = 3, #ARGV, 2 do
  redis.call('HSETNX', KEYS[3], ARGV[i], ARGV[i + 1])
end
return { 'OK', q, 'OK' }
