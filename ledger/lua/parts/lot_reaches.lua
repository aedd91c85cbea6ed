-- Lots that are limited to some routes, in an account's record: behind all pools, only where there are any,
--   <c1 H  'R', number of such lots, and for each, in their order
--   <I5 H  id, its reach: the number that stands for a set of routes (parts/reach.lua)
-- Accounts that have no such lot have no `reaches`, and nothing is asked of them.
local REACHES_MARK = byte('R')

-- Lot -> reach; nil if the bytes do not add up. `account` has its pools already.
local function read_reaches(raw, at, account)
  if #raw < at + 9 or byte(raw, at) ~= REACHES_MARK then
    return nil
  end
  local known, reaches, p = {}, {}, 5
  for _ = 1, account[4] do
    local last = p + 4 * account[p + 3]
    for k = p + 4, last, 4 do
      known[account[k]] = true
    end
    p = last + 4
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
  local packed, count, p = '', 0, 5
  for _ = 1, account[4] do
    local last = p + 4 * account[p + 3]
    for k = p + 4, last, 4 do
      local reach = account.reaches[account[k]]
      if reach then
        packed = packed .. spack('<I5H', account[k], reach)
        count = count + 1
      end
    end
    p = last + 4
  end
  return count > 0 and spack('<c1H', 'R', count) .. packed or ''
end

local function is_limited(account)
  return account.reaches ~= nil and pack_reaches(account) ~= ''
end
