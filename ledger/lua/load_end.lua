#!lua flags=allow-oom
--[[
Write an account as Postgres had it: the record, its keys and open holds; then apply the
controls that were pending. Holds ask under memory pressure before they load, so allow-oom
serves only settlements, expiry and controls.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>  KEYS[5] t:<epoch>:<account>
ARGV[1] head, see parts/guard.lua
ARGV[2] the snapshot's epoch, <d
ARGV[3] account, I7
ARGV[4] token of LOAD_BEGIN
ARGV[5] account record, see parts/account.lua
ARGV[6] keys, each I7 and its record of 23 bytes
ARGV[7] number n of open holds, <d
ARGV[8..7+2n]  hold id, its fact and what limits lent it (parts/limits.lua)
ARGV[8+2n..]   controls of 27 bytes in order

Returns {word, q, answer}; answer: LOADED (now or before) | TOKEN (another loader, or too slow)
  | STALE (snapshot of another epoch) | CORRUPT (the snapshot's bytes do not add up)
]]
-- include meta
-- include guard
-- include whole
-- include account
-- include lots
-- include journal
-- include saying
local stored = {}
-- include tallies
-- include open_hold
-- include control
local KEY_BYTES = 30
if #ARGV < 7 or #ARGV[2] ~= 8 or #ARGV[3] ~= 7 or #ARGV[6] % KEY_BYTES ~= 0 or #ARGV[7] ~= 8 then
  return redis.error_reply('BADARG the parts of a snapshot')
end
local account_id = ARGV[3]
local hold_count = sunpack('<d', ARGV[7])
if not whole(hold_count) or 7 + 2 * hold_count > #ARGV then
  return redis.error_reply('BADARG the number of holds')
end
if redis.call('HEXISTS', KEYS[3], 'a' .. account_id) == 1 then
  return { 'OK', q, 'LOADED' }
end
if redis.call('GET', KEYS[5]) ~= ARGV[4] then
  return { 'OK', q, 'TOKEN' }
end
if sunpack('<d', ARGV[2]) ~= epoch then
  return { 'OK', q, 'STALE' }
end

local account = read_account(ARGV[5])
if not account then
  return { 'OK', q, 'CORRUPT' }
end
for at = 1, #ARGV[6], KEY_BYTES do
  local id, record = sub(ARGV[6], at, at + 6), sub(ARGV[6], at + 7, at + 29)
  if sub(record, 2, 8) ~= account_id then
    return { 'OK', q, 'CORRUPT' }
  end
  put_keys[id] = record
  put_balance('k' .. id, record)
end
for i = 8, 7 + 2 * hold_count, 2 do
  local price = read_hold(ARGV[i + 1], ARGV[i])
  if not price or sub(ARGV[i + 1], 16, 22) ~= account_id or price > MAX_AMOUNT or not lots_of(ARGV[i + 1], price) then
    return { 'OK', q, 'CORRUPT' }
  end
  -- What this epoch knows of a hold is newer than the snapshot.
  if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 0 then
    put_hold(ARGV[i], ARGV[i + 1])
  end
end
changed_accounts = { ['a' .. account_id] = account }
for i = 8 + 2 * hold_count, #ARGV do
  local answer = apply_control(account_id, account, ARGV[i])
  if answer ~= 'OK' and answer ~= 'OLD' then
    return { 'OK', q, 'CORRUPT' }
  end
end
put_tallies()
-- include commit
redis.call('DEL', KEYS[5])
return { 'OK', q, 'LOADED' }
