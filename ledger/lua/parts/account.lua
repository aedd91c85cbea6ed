-- An account, field 'a' + I7 of `b`:
--   <B I4 I5 B   status (1 active, 2 frozen; 128 beside it: on a plan), cseq, aseq, number of pools
--   <I4          the plan's number, above 0, where it is on one
--   <B I6 i8 B   per pool: type, debt, floor, number of lots
--   <I5 B I6 I6  per lot in burn order (priority, expiry, limited first, id): id, priority, expiry ms, remaining
--   and behind all pools what parts/lot_reaches.lua says, where one of these lots is limited to some routes
-- Lots are kept as one flat list, four numbers each: parsing is most of what a call costs.
local MAX_AMOUNT = 9e13
local LIVE_LOTS = 32 -- more wait in Postgres until one of these is empty
local ON_A_PLAN = 128
local MAX_LOTS = 255 -- what the count's byte can say
local lot_formats = {}

local function lot_format(count)
  local found = lot_formats[count]
  if not found then
    found = '<' .. string.rep('I5BI6I6', count)
    lot_formats[count] = found
  end
  return found
end

local function read_account(raw)
  local size = #raw
  if size < 11 then
    return nil
  end
  local status, cseq, aseq, count, at = sunpack('<BI4I5B', raw)
  local plan = 0
  if status >= ON_A_PLAN then
    if size < 15 then
      return nil
    end
    status = status - ON_A_PLAN
    plan, at = sunpack('<I4', raw, at)
    if plan == 0 then
      return nil
    end
  end
  if status ~= 1 and status ~= 2 then
    return nil
  end
  local pools = {}
  for i = 1, count do
    if at + 15 > size then
      return nil
    end
    local credit_type, debt, floor_units, lot_count
    credit_type, debt, floor_units, lot_count, at = sunpack('<BI6i8B', raw, at)
    if at + 18 * lot_count - 1 > size or debt > MAX_AMOUNT or floor_units < 0 or floor_units > MAX_AMOUNT then
      return nil
    end
    local lots = { sunpack(lot_format(lot_count), raw, at) }
    at = lots[#lots]
    lots[#lots] = nil
    local total = 0
    for k = 4, #lots, 4 do
      total = total + lots[k]
    end
    if total > MAX_AMOUNT then
      return nil
    end
    pools[i] = { type = credit_type, debt = debt, floor = floor_units, lots = lots }
  end
  local reaches
  if at ~= size + 1 then
    reaches = read_reaches(raw, at, pools)
    if not reaches then
      return nil
    end
  end
  return { status = status, cseq = cseq, aseq = aseq, plan = plan, pools = pools, reaches = reaches }
end

local one_pool_formats = {}

-- Nearly every account has one pool: its record is made in one step, without strings between.
local function pack_one_pool(account, pool)
  local count = #pool.lots / 4
  local found = one_pool_formats[count]
  if not found then
    found = '<BI4I5BBI6i8B' .. string.rep('I5BI6I6', count)
    one_pool_formats[count] = found
  end
  return spack(found, account.status, account.cseq, account.aseq, 1, pool.type, pool.debt, pool.floor, count,
    unpack(pool.lots))
end

local function pack_account(account)
  local limited = account.reaches and pack_reaches(account) or ''
  if #account.pools == 1 and account.plan == 0 then
    local packed = pack_one_pool(account, account.pools[1])
    return limited == '' and packed or packed .. limited
  end
  local status = account.plan > 0 and account.status + ON_A_PLAN or account.status
  local parts = { spack('<BI4I5B', status, account.cseq, account.aseq, #account.pools) }
  if account.plan > 0 then
    parts[2] = spack('<I4', account.plan)
  end
  for i = 1, #account.pools do
    local pool = account.pools[i]
    local count = #pool.lots / 4
    parts[#parts + 1] = spack('<BI6i8B', pool.type, pool.debt, pool.floor, count)
    if count > 0 then
      parts[#parts + 1] = spack(lot_format(count), unpack(pool.lots))
    end
  end
  parts[#parts + 1] = limited
  return table.concat(parts)
end

local function pool_of(account, credit_type)
  for i = 1, #account.pools do
    if account.pools[i].type == credit_type then
      return account.pools[i]
    end
  end
end

-- A pool that does not exist yet is an empty one; it is kept once something is put into it.
local function pool_or_new(account, credit_type)
  local pool = pool_of(account, credit_type)
  if not pool then
    pool = { type = credit_type, debt = 0, floor = 0, lots = {} }
    account.pools[#account.pools + 1] = pool
  end
  return pool
end

-- All that remains, due or not, minus the debt: the balance that facts carry.
local function balance_of(pool)
  local total, lots = 0, pool.lots
  for k = 4, #lots, 4 do
    total = total + lots[k]
  end
  return total - pool.debt
end

-- What may be held: live lots - debt - floor.
local function available_in(pool)
  local total, lots = 0, pool.lots
  for k = 4, #lots, 4 do
    if lots[k - 1] > now then
      total = total + lots[k]
    end
  end
  return total - pool.debt - pool.floor
end

local function filled_lots(pool)
  local filled, lots = 0, pool.lots
  for k = 4, #lots, 4 do
    if lots[k] > 0 then
      filled = filled + 1
    end
  end
  return filled
end

-- A lot and its reach, nil or 0 where it is not limited.
local function insert_lot(account, pool, id, priority, expiry, remaining, reach)
  if reach and reach > 0 then
    account.reaches = account.reaches or {}
    account.reaches[id] = reach
  end
  local lots, reaches = pool.lots, account.reaches or {}
  if #lots / 4 >= LIVE_LOTS then
    local kept = {}
    for k = 1, #lots, 4 do
      if lots[k + 3] > 0 then
        for j = k, k + 3 do
          kept[#kept + 1] = lots[j]
        end
      end
    end
    lots = kept
  end
  local at = #lots + 1
  for k = 1, #lots, 4 do
    local p, e = lots[k + 1], lots[k + 2]
    local later = lots[k] > id
    if (reaches[id] == nil) ~= (reaches[lots[k]] == nil) then
      later = reaches[id] ~= nil
    end
    if p > priority or (p == priority and (e > expiry or (e == expiry and later))) then
      at = k
      break
    end
  end
  table.insert(lots, at, remaining)
  table.insert(lots, at, expiry)
  table.insert(lots, at, priority)
  table.insert(lots, at, id)
  pool.lots = lots
end

-- Take `amount` in burn order, but from lots that are barred (by id, where any is); the caller has
-- expired due lots, and knows that enough is there. Returns the number of lots and their packed allocation.
local function take(pool, amount, barred)
  local lots, count, packed = pool.lots, 0, ''
  local k = 1
  while amount > 0 and lots[k] do
    local part = lots[k + 3]
    if part > 0 and not (barred and barred[lots[k]]) then
      if part > amount then
        part = amount
      end
      amount = amount - part
      lots[k + 3] = lots[k + 3] - part
      count = count + 1
      packed = packed .. spack('<I5BI6I6', lots[k], lots[k + 1], lots[k + 2], part)
    end
    k = k + 4
  end
  return count, packed
end
