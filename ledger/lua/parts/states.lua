local accounts = {} -- account field -> parsed, or false where the bytes do not add up

-- An account as of this line, from what was read or what this call has made of it; nil and why, where there is none.
local function account_of(field, raw)
  local account = accounts[field]
  if account == nil then
    raw = fresh[field] and balances_written[fresh[field] + 1] or raw
    if not raw then
      return nil, 'NOACCOUNT'
    end
    account = read_account(raw) or false
    accounts[field], fresh[field] = account, false
  end
  if not account then
    return nil, 'CORRUPT'
  end
  return account
end

-- A hold's bytes as of this line, read now if nobody has yet; false where there is none.
local function state_of(id)
  local raw = hold_states[id] or written(holds_written, id)
  if raw == nil then
    raw = redis.call('HGET', KEYS[4], id)
    hold_states[id] = raw
  end
  return raw
end
