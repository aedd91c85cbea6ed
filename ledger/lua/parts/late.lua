-- LATE: book work whose hold is gone; the caller has read in Postgres that it was not captured.
-- Line 'L': id c12 account I7 key I7 type B amount I6 version I4 rule H reason B status H, detail.
-- Its reason may have the bit of parts/reach.lua: then the block of reaches stands before the detail; and that
-- of parts/claims.lua: then a claim does, behind it, and if another hold has the key, all is written off.
-- What the pool cannot cover is written off in the same fact. It is subject to the window.
local passed = {} -- session field -> highest number, of ids booked late in this call

-- A hold whose work is booked must not begin any more: its session has passed its number.
local function pass(id)
  local n, id_session = sunpack('>I8I4', id)
  if n > MAX_N then
    return -- no hold can have it
  end
  if id_session == session and session_highest then
    session_highest = math.max(session_highest, n)
    session_used = true
    return
  end
  local field = 's' .. spack('<I4', id_session)
  local raw = redis.call('HGET', KEYS[3], field)
  local highest = passed[field] or raw and #raw == 16 and sunpack('<d', raw)
  if highest and whole(highest) then
    passed[field] = math.max(highest, n)
    put_balance(field, spack('<dd', passed[field], now))
  end
end

-- Its expiry gave back to the key's caps what is now spent after all; it cannot be refused any more.
local function spend_late(id, account_id, key_id, credit_type, taken)
  local raw = redis.call('HGET', KEYS[3], 'k' .. key_id)
  if not raw or #raw ~= KEY_BYTES or sub(raw, 2, 8) ~= account_id or bit.band(byte(raw, 9), HAS_CAPS) == 0 then
    return
  end
  local uses, count = limits().use_caps(limits().caps_of(key_id, credit_type) or {}, taken)
  if count > 0 then
    append('U', spack('<c12c7c7BB', id, account_id, key_id, 0, count) .. uses)
  end
end

local function late(line)
  if #line < LATE_BYTES then
    return 'BADLINE'
  end
  local id, account_id, key_id, credit_type, amount, version, rule, reason, status =
    sunpack('<c12c7c7BI6I4HBH', line, 2)
  local reach_at, detail_at, claim = nil, LATE_BYTES + 1, nil
  if reason >= LATE_REACHES then
    reason = reason - LATE_REACHES
    reach_at, detail_at = detail_at, behind_reaches(line, detail_at)
  end
  if reason >= LATE_CLAIMING then
    reason = reason - LATE_CLAIMING
    claim = detail_at and claims().of(line, detail_at)
    detail_at = claim and claim.ends
  end
  if not detail_at or #line - detail_at >= MAX_DETAIL or amount > MAX_AMOUNT then
    return 'BADLINE'
  end
  local detail = sub(line, detail_at)
  local raw = state_of(id)
  if raw then
    local closed, closed_amount = read_mark(raw)
    if closed and closed ~= 'x' then
      return format('DONE %s %.0f', closed, closed_amount)
    end
    if not closed then
      local price, held_type, loans = read_hold(raw, id)
      if not price then
        return 'CORRUPT'
      end
      return close_hold(id, raw, price, held_type, loans, 'c', math.min(amount, price), spack('<BH', reason, status) .. detail)
    end
  end
  local account_field = 'a' .. account_id
  local account, missing = account_of(account_field, stored[account_field])
  if not account then
    return missing
  end
  local w = window_of(windows, credit_type)
  if not w then
    return 'NOTYPE'
  end
  local others = claim and claims().kept_by_owner(claim, id)
  if others == 'CORRUPT' or others and sub(others, 1, 3) == 'ASK' then
    return others
  end
  local p = pool_of(account, credit_type)
  local barred, units, unknown = nil, 0, false
  if p and account.reaches then
    barred, units, unknown = out_of_reach(account, p, line, reach_at)
  end
  if unknown then
    return 'NEWREACH'
  end
  local taken = p and not others and math.max(math.min(amount, available_in(account, p) - units), 0) or 0
  if windows[w + 1] - windows[w + 3] + taken > windows[w + 4] or fact_count > room - 2 * open_holds then
    return 'BUSY'
  end
  local count, allocation, balance = 0, '', 0
  if p then
    expire_due(account_id, account, p)
    count, allocation = take(account, p, taken, barred)
    balance = balance_of(account, p)
  end
  windows[w + 1] = windows[w + 1] + taken
  windows[w + 2] = windows[w + 2] + taken
  append('L', spack('<c12c7c7BI6I6I4HBHI5i8B', id, account_id, key_id, credit_type, taken, amount - taken, version,
    rule, reason, status, next_aseq(account_field, account), balance, count) .. allocation .. detail)
  local mark = spack('<c1c1I6', 'D', 'l', taken)
  hold_states[id] = mark
  put_hold(id, mark)
  pass(id)
  if claim and not others then
    claims().take(claim, id, account_id, 1)
  end
  spend_late(id, account_id, key_id, credit_type, taken)
  return format('DONE l %.0f', taken)
end
