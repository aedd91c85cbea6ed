-- What stands between a hold line's fixed part and its detail, as bits of its scope say, in this order:
--   128  limits, counted like the rate (parts/limits.lua)
--   64   the reaches that have its route (parts/reach.lua)
--   32   <I4, the number of the plan that the price is of: an account that is on another gets that one's
--        as the answer, and nothing else happens
--   16   a claim (parts/claims.lua)

local PLANNED = 32

-- Returns the scope without those bits, where the detail begins (nil: the line is none), and what is asked.
local function read_extras(line, scope, only_check)
  local detail_at, asked, reach_at, plan, claim = HOLD_BYTES + 1, nil, nil, nil, nil
  if scope >= LIMITED then
    scope = scope - LIMITED
    asked = limits().asked_by[line]
    detail_at = asked and asked.detail
  end
  if scope >= REACHES and detail_at then
    scope = scope - REACHES
    reach_at, detail_at = detail_at, behind_reaches(line, detail_at)
  end
  if scope >= PLANNED then
    scope = scope - PLANNED
    if not detail_at or #line < detail_at + 3 then
      return scope, nil
    end
    plan, detail_at = sunpack('<I4', line, detail_at)
  end
  if scope >= CLAIMING then
    scope = scope - CLAIMING
    claim = detail_at and not only_check and claims().of(line, detail_at)
    detail_at = claim and claim.ends
  end
  return scope, detail_at, asked, reach_at, plan, claim
end

local function repeated_hold(id, account_field, account_raw, credit_type, line, reach_at)
  local raw = state_of(id)
  if not raw or byte(raw) == CLOSED_MARK then
    return 'GONE'
  end
  local price = read_hold(raw, id)
  if not price then
    return 'CORRUPT'
  end
  local balance = sunpack('<i8', raw, 54)
  local account = account_of(account_field, account_raw)
  local p = account and pool_of(account, credit_type)
  local left = balance - (p and account[p + 2] or 0)
  if p and account.reaches and records().is_limited(account) then
    local _, units = out_of_reach(account, p, line, reach_at)
    left = available_in(account, p) - units
  end
  return price > 0 and left or format('FREE %.0f', left)
end

-- What a hold must remember of the lots it took from; see parts/reach.lua.
local function lend_reaches(account, allocation)
  local lent = ''
  for at = 1, #allocation, 18 do
    local lot = sunpack('<I5', allocation, at)
    if account.reaches[lot] then
      lent = lent .. spack('<c1c4c4c1I4I6', 'l', NO_PLACE, NO_PLACE, 'L', account.reaches[lot], lot)
    end
  end
  return lent
end
