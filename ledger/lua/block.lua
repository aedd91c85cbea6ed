#!lua flags=allow-oom
--[[
Refuse an account that Postgres has in quarantine, where no control can say so: Redis applied
controls that Postgres does not have, and takes one of their numbers for a repeat. No fact: what
the account does no longer fits the books. The next epoch loads it as Postgres has it, frozen.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] account, I7

Returns {word, q, answer}; answer: OK (refused, now or before) | NOTLOADED | CORRUPT
]]
-- include meta
-- include guard
-- include account
local FROZEN = 2
if #ARGV ~= 2 or #ARGV[2] ~= 7 then
  return redis.error_reply('BADARG an account of 7 bytes')
end
local raw = redis.call('HGET', KEYS[3], 'a' .. ARGV[2])
if not raw then
  return { 'OK', q, 'NOTLOADED' }
end
local account = read_account(raw)
if not account then
  return { 'OK', q, 'CORRUPT' }
end
account[1] = FROZEN
redis.call('HSET', KEYS[3], 'a' .. ARGV[2], pack_account(account))
return { 'OK', q, 'OK' }
