--[[
Ends holds: captures what each says, gives back the rest.

KEYS[1]  balances, KEYS[2]  holds, KEYS[3]  journal: as in hold.lua
ARGV     pairs: hold, amount to capture

Returns how many were open.
]]
local ended = 0
for i = 1, #ARGV, 2 do
  local hold = redis.call('HGET', KEYS[2], ARGV[i])
  if hold then
    local account, held = string.match(hold, '^(.*) (%d+)$')
    local back = tonumber(held) - tonumber(ARGV[i + 1])
    if back > 0 then redis.call('HINCRBY', KEYS[1], account, back) end
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', 20000, '*', 's', ARGV[i], 'n', ARGV[i + 1])
    ended = ended + 1
  end
end
return ended
