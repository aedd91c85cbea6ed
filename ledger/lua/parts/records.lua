-- Accounts with several pools, on a plan, or with limited lots; their layout is in parts/account.lua.

local ON_A_PLAN = 128

-- Any record, pool by pool; nil if the bytes end before.
local function read_pools(raw)
  local size = #raw
  if size < 11 then
    return nil
  end
  local status, cseq, aseq, count, at = sunpack('<BI4I5B', raw)
  local account = { status, cseq, aseq, count }
  if status >= ON_A_PLAN then
    if size < 15 then
      return nil
    end
    account[1] = status - ON_A_PLAN
    account.plan, at = sunpack('<I4', raw, at)
    if account.plan == 0 then
      return nil
    end
  end
  local p = 5
  for _ = 1, count do
    if at + 15 > size then
      return nil
    end
    local lots = byte(raw, at + 15)
    if at + 15 + 18 * lots > size then
      return nil
    end
    local pool = { sunpack('<BI6i8B' .. string.rep('I5BI6I6', lots), raw, at) }
    at = pool[#pool]
    for i = 1, #pool - 1 do
      account[p] = pool[i]
      p = p + 1
    end
  end
  if at ~= size + 1 then
    account.reaches = read_reaches(raw, at, account)
    if not account.reaches then
      return nil
    end
  end
  return account
end

local function pack_pools(account)
  local plan = account.plan or 0
  local packed = spack('<BI4I5B', plan > 0 and account[1] + ON_A_PLAN or account[1], account[2], account[3], account[4])
  if plan > 0 then
    packed = packed .. spack('<I4', plan)
  end
  local p = 5
  for _ = 1, account[4] do
    local behind = p + 4 + 4 * account[p + 3]
    packed = packed
      .. spack('<BI6i8B' .. string.rep('I5BI6I6', account[p + 3]), unpack(account, p, behind - 1))
    p = behind
  end
  return account.reaches and packed .. pack_reaches(account) or packed
end
