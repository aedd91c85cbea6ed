#!lua flags=allow-oom
--[[
Apply controls of one account, in the order of their numbers. Paid credit lands even when
memory is full.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1]    head, see parts/guard.lua
ARGV[2]    account, I7
ARGV[3..]  controls of 27 bytes, see parts/control.lua

Returns {word, q, answer of each}; answer: OK | OLD | GAP | NOTLOADED | CORRUPT | BADLINE
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
-- include control
local account_id = ARGV[2]
if not account_id or #account_id ~= 7 or #ARGV > 1002 then
  return redis.error_reply('BADARG an account of 7 bytes and at most 1000 controls')
end
local answers = { 'OK', 0 }
local raw = redis.call('HGET', KEYS[3], 'a' .. account_id)
local account = raw and read_account(raw)
for i = 3, #ARGV do
  if not raw then
    answers[i] = 'NOTLOADED'
  elseif not account then
    answers[i] = 'CORRUPT'
  else
    answers[i] = apply_control(account_id, account, ARGV[i])
  end
end
put_tallies()
-- include commit
answers[2] = q
return answers
