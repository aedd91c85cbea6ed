-- What puts lots into an account: controls, and what comes back from holds. See parts/account.lua.

-- A pool that does not exist yet is an empty one; it is kept once something is put into it.
local function pool_or_new(account, credit_type)
  local p = pool_of(account, credit_type)
  if not p then
    p = #account + 1
    account[p], account[p + 1], account[p + 2], account[p + 3] = credit_type, 0, 0, 0
    account[4] = account[4] + 1
  end
  return p
end

local function filled_lots(account, p)
  local filled = 0
  for k = p + 4, p + 4 * account[p + 3], 4 do
    if account[k + 3] > 0 then
      filled = filled + 1
    end
  end
  return filled
end

local function forget_empty_lots(account, p)
  for k = p + 4 * account[p + 3], p + 4, -4 do
    if account[k + 3] == 0 then
      for _ = 1, 4 do
        table.remove(account, k)
      end
      account[p + 3] = account[p + 3] - 1
    end
  end
end

-- A lot and its reach, nil or 0 where it is not limited.
local function insert_lot(account, p, id, priority, expiry, remaining, reach)
  if reach and reach > 0 then
    account.reaches = account.reaches or {}
    account.reaches[id] = reach
  end
  local reaches = account.reaches or {}
  if account[p + 3] >= LIVE_LOTS then
    forget_empty_lots(account, p)
  end
  local last = p + 4 * account[p + 3]
  local at = last + 4
  for k = p + 4, last, 4 do
    local lot_priority, lot_expiry = account[k + 1], account[k + 2]
    local later = account[k] > id
    if (reaches[id] == nil) ~= (reaches[account[k]] == nil) then
      later = reaches[id] ~= nil
    end
    if lot_priority > priority
        or lot_priority == priority and (lot_expiry > expiry or lot_expiry == expiry and later) then
      at = k
      break
    end
  end
  table.insert(account, at, remaining)
  table.insert(account, at, expiry)
  table.insert(account, at, priority)
  table.insert(account, at, id)
  account[p + 3] = account[p + 3] + 1
end
