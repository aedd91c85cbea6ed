-- Lots that are limited to some routes, in an account's record: behind all pools, only where there are any,
--   <c1 H  'R', number of such lots, and for each, in their order
--   <I5 H  id, its reach: the number that stands for a set of routes (parts/reach.lua)
-- Accounts that have no such lot have no `reaches`, and nothing is asked of them.
local MOST_REACHES, REACHES_MARK = 4096, byte('R')

-- Lot -> reach; nil if the bytes do not add up.
local function read_reaches(raw, at, pools)
  if #raw < at + 9 or byte(raw, at) ~= REACHES_MARK then
    return nil
  end
  local known, reaches = {}, {}
  for i = 1, #pools do
    for k = 1, #pools[i].lots, 4 do
      known[pools[i].lots[k]] = true
    end
  end
  local count = sunpack('<H', raw, at + 1)
  if #raw ~= at + 2 + 7 * count then
    return nil
  end
  for first = at + 3, #raw, 7 do
    local lot, reach = sunpack('<I5H', raw, first)
    if not known[lot] or reaches[lot] or reach < 1 or reach > MOST_REACHES then
      return nil
    end
    reaches[lot] = reach
  end
  return reaches
end

local function pack_reaches(account)
  local packed, count = '', 0
  for i = 1, #account.pools do
    local lots = account.pools[i].lots
    for k = 1, #lots, 4 do
      local reach = account.reaches[lots[k]]
      if reach then
        packed = packed .. spack('<I5H', lots[k], reach)
        count = count + 1
      end
    end
  end
  return count > 0 and spack('<c1H', 'R', count) .. packed or ''
end

local function is_limited(account)
  return account.reaches ~= nil and pack_reaches(account) ~= ''
end

-- How many of a pool's lots are in use, of those that are limited or of those that are not: lots that
-- no request of some routes can use up must not keep others from entering.
local function places_used(account, pool, limited)
  local used, lots, reaches = 0, pool.lots, account.reaches
  for k = 1, #lots, 4 do
    if lots[k + 3] > 0 and (reaches and reaches[lots[k]] ~= nil or false) == limited then
      used = used + 1
    end
  end
  return used
end
