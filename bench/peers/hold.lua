--[[
The hold that nginx + Lua and the simple version share: what their authors would write.

KEYS[1]  keys     hash: sha1 of an API key -> account
KEYS[2]  balances hash: account -> units
KEYS[3]  holds    hash: hold -> "account amount"
KEYS[4]  journal  stream
ARGV     sha1 of the key, hold, amount

Returns HELD and what is left, NOKEY or INSUFFICIENT.
]]
local account = redis.call('HGET', KEYS[1], ARGV[1])
if not account then return {'NOKEY', 0} end
local balance = tonumber(redis.call('HGET', KEYS[2], account) or '0')
local amount = tonumber(ARGV[3])
if balance < amount then return {'INSUFFICIENT', balance} end
redis.call('HSET', KEYS[2], account, balance - amount)
redis.call('HSET', KEYS[3], ARGV[2], account .. ' ' .. ARGV[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 20000, '*', 'h', ARGV[2], 'a', account, 'n', ARGV[3])
return {'HELD', balance - amount}
