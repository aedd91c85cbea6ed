-- The functions with which it is said and written; see parts/journal.lua.
local function append(kind, rest)
  facts[#facts + 1] = spack('<c1Hc0', kind, #rest, rest)
  fact_count = fact_count + 1
end

-- A fact of an account: the caller puts the number into the fact.
local function next_aseq(field, account)
  account[3] = account[3] + 1
  changed_accounts = changed_accounts or {}
  changed_accounts[field] = account
  return account[3]
end

local function put_balance(field, value)
  local count = #balances_written
  balances_written[count + 1], balances_written[count + 2] = field, value
end

local function put_hold(id, value)
  local count = #holds_written
  holds_written[count + 1], holds_written[count + 2] = id, value
end

-- What this call writes to a field of one of the two; nil if nothing.
local function written(values, field)
  for i = #values - 1, 1, -2 do
    if values[i] == field then
      return values[i + 1]
    end
  end
end

-- Facts of their own for what is left in lots whose time has come, but for one lot if named.
local function expire_due(id, account, p, spared)
  for k = p + 4, p + 4 * account[p + 3], 4 do
    local left = account[k + 3]
    if left > 0 and account[k + 2] <= now and account[k] ~= spared then
      account[k + 3] = 0
      append('E', spack('<c7BI5I6I5i8', id, account[p], account[k], left, next_aseq('a' .. id, account), balance_of(account, p)))
    end
  end
end
