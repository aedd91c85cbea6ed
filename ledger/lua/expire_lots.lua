#!lua flags=allow-oom
--[[
Book what is left in an account's lots whose time has come, for accounts that no request
or control touches. A repeat finds nothing more.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] account, I7

Returns {word, q, answer}; answer: OK | NOTLOADED | CORRUPT
]]
-- include meta
-- include guard
-- include account
-- include journal
-- include saying
if #ARGV ~= 2 or #ARGV[2] ~= 7 then
  return redis.error_reply('BADARG an account of 7 bytes')
end
local account_id = ARGV[2]
local raw = redis.call('HGET', KEYS[3], 'a' .. account_id)
if not raw then
  return { 'OK', q, 'NOTLOADED' }
end
local account = read_account(raw)
if not account then
  return { 'OK', q, 'CORRUPT' }
end
local p = 5
for _ = 1, account[4] do
  expire_due(account_id, account, p)
  p = p + 4 + 4 * account[p + 3]
end
-- include commit
return { 'OK', q, 'OK' }
