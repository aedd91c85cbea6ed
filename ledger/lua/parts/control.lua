-- A control: a numbered change that Postgres orders. 27 bytes:
--   <c1 I4 B I7 I6 B I6 B  kind, cseq, type, object, amount, priority, expiry ms, flags
--   g grant, e enter  lot `object` of `amount`; pays debt first; waits (result q) if no lot is free;
--                     the two bytes of `object` above the lot's five: its reach (parts/account.lua)
--   w clawback        from lot `object` (or 0), then from others in burn order; the rest is debt
--   f freeze          flags 1 freeze, 0 thaw
--   k key put         key `object`, flags its scopes, amount 1 active or 2 revoked
--   p plan            number `object` of what the account is on; 0 takes it off
--   s spent           what key `object` has spent on `type` in window `priority`, which ends at `expiry`
--   c cap             of key `object` on `type`, `amount` in window `priority`; flags 1 set, 0 lifted
-- Its fact carries its number, so a rollback rolls back "applied" together with the balance.
local CONTROL_BYTES, MAX_LOT, MAX_PLAN = 27, 2 ^ 40, 2 ^ 32 - 1
local CAPPED = 4 -- among a key's scopes: it has caps on what it spends
local put_keys = {} -- key bytes -> record as of this call

-- How many of a pool's lots are in use, of those that are limited or of those that are not: lots that
-- no request of some routes can use up must not keep others from entering.
local function places_used(account, p, limited)
  local used, reaches = 0, account.reaches
  for k = p + 4, p + 4 * account[p + 3], 4 do
    if account[k + 3] > 0 and (reaches and reaches[account[k]] ~= nil or false) == limited then
      used = used + 1
    end
  end
  return used
end

local function apply_grant(account, control)
  local lot, reach = control.object % MAX_LOT, floor(control.object / MAX_LOT)
  if control.type == 0 or control.amount < 1 or control.amount > MAX_AMOUNT or lot < 1 or reach > MOST_REACHES then
    return nil, 'BADLINE'
  end
  local p = pool_or_new(account, control.type)
  if balance_of(account, p) + control.amount > MAX_AMOUNT then
    return nil, 'BADLINE'
  end
  local paid = math.min(account[p + 1], control.amount)
  local rest = control.amount - paid
  if rest > 0 and (places_used(account, p, reach > 0) >= LIVE_LOTS or filled_lots(account, p) >= MAX_LOTS) then
    return { balance = balance_of(account, p), result = 'q', paid = 0, added = 0, count = 0, taken = '' }
  end
  account[p + 1] = account[p + 1] - paid
  if rest > 0 then
    insert_lot(account, p, lot, control.priority, control.expiry, rest, reach)
  end
  return { balance = balance_of(account, p), result = 'a', paid = paid, added = 0, count = 0, taken = '' }
end

local function apply_clawback(account_id, account, control)
  if control.type == 0 then
    return nil, 'BADLINE'
  end
  local p = pool_or_new(account, control.type)
  if control.amount < 1 or account[p + 1] + control.amount > MAX_AMOUNT then
    return nil, 'BADLINE'
  end
  -- The named lot pays even if its time has come; what else is due expires rather than pays.
  expire_due(account_id, account, p, control.object)
  local left, count, taken = control.amount, 0, ''
  local function take_from(k)
    local part = math.min(left, account[k + 3])
    if part > 0 then
      account[k + 3] = account[k + 3] - part
      left = left - part
      count = count + 1
      taken = taken .. spack('<I5I6', account[k], part)
    end
  end
  for k = p + 4, p + 4 * account[p + 3], 4 do
    if account[k] == control.object then
      take_from(k)
    end
  end
  for k = p + 4, p + 4 * account[p + 3], 4 do
    take_from(k)
  end
  account[p + 1] = account[p + 1] + left
  return { balance = balance_of(account, p), result = 'a', paid = 0, added = left, count = count, taken = taken }
end

local function apply_key(account_id, control, line)
  if control.amount ~= 1 and control.amount ~= 2 then
    return nil, 'BADLINE'
  end
  local id = sub(line, 7, 13)
  local known = put_keys[id] or redis.call('HGET', KEYS[3], 'k' .. id)
  local tat = known and #known == 23 and sub(known, 16, 23) or spack('<d', 0)
  local scopes = control.flags
  if known and #known == 23 then
    scopes = bit.bor(scopes, bit.band(byte(known, 9), CAPPED))
  end
  put_keys[id] = spack('<Bc7BI6', control.amount, account_id, scopes, control.expiry) .. tat
  put_balance('k' .. id, put_keys[id])
  return { balance = 0, result = 'a', paid = 0, added = 0, count = 0, taken = '' }
end

-- Spending is counted from when a key has a cap; what it had spent before comes with this.
local function apply_spent(control, line)
  if control.type == 0 or control.amount > MAX_AMOUNT or control.priority > 2 then
    return nil, 'BADLINE'
  end
  local field = tally_field('k', ALL_ROUTES, nil, sub(line, 7, 13))
  tallies[field] = tally_of(field) or ''
  if now < control.expiry then
    put_use(field, 'C' .. string.char(control.priority, control.type, 0), 'C', control.amount)
  end
  return { balance = 0, result = 'a', paid = 0, added = 0, count = 0, taken = '' }
end

local function drop_use(field, id)
  local raw = tallies[field]
  local at = place_of(raw, id)
  if at then
    tallies[field] = sub(raw, 1, at - 1) .. sub(raw, at + TALLY_BYTES)
    counted[field] = true
  end
end

-- The key says whether there is a cap, so that those without one are asked for nothing.
local function apply_cap(control, line)
  if control.type == 0 or control.amount > MAX_AMOUNT or control.priority > 2 or control.flags > 1 then
    return nil, 'BADLINE'
  end
  local key_id = sub(line, 7, 13)
  local field = tally_field('k', ALL_ROUTES, nil, key_id)
  tallies[field] = tally_of(field) or ''
  local id = 'c' .. string.char(control.priority, control.type, 0)
  if control.flags == 1 then
    put_use(field, id, 'c', control.amount)
  else
    drop_use(field, id)
  end
  local scopes = 0
  for at = 1, #tallies[field], TALLY_BYTES do
    if byte(tallies[field], at + 4) == A_CAP then
      scopes = CAPPED
    end
  end
  local known = put_keys[key_id] or redis.call('HGET', KEYS[3], 'k' .. key_id)
  if known and #known == 23 then
    scopes = scopes + bit.band(byte(known, 9), 255 - CAPPED)
    put_keys[key_id] = sub(known, 1, 8) .. string.char(scopes) .. sub(known, 10)
    put_balance('k' .. key_id, put_keys[key_id])
  end
  return { balance = 0, result = 'a', paid = 0, added = 0, count = 0, taken = '' }
end

-- Returns OK, OLD (applied before), GAP (an earlier one is missing) or BADLINE.
local function apply_control(account_id, account, line)
  if #line ~= CONTROL_BYTES then
    return 'BADLINE'
  end
  local control = {}
  control.kind, control.cseq, control.type, control.object, control.amount, control.priority, control.expiry,
    control.flags = sunpack('<c1I4BI7I6BI6B', line)
  if control.cseq <= account[2] then
    return 'OLD'
  end
  if control.cseq > account[2] + 1 then
    return 'GAP'
  end
  local done, wrong
  if control.kind == 'g' or control.kind == 'e' then
    done, wrong = apply_grant(account, control)
  elseif control.kind == 'w' then
    done, wrong = apply_clawback(account_id, account, control)
  elseif control.kind == 'f' and control.flags <= 1 then
    account[1] = control.flags == 1 and 2 or 1
    done = { balance = 0, result = 'a', paid = 0, added = 0, count = 0, taken = '' }
  elseif control.kind == 'p' and control.object <= MAX_PLAN then
    account.plan = control.object > 0 and control.object or nil
    done = { balance = 0, result = 'a', paid = 0, added = 0, count = 0, taken = '' }
  elseif control.kind == 'k' then
    done, wrong = apply_key(account_id, control, line)
  elseif control.kind == 'c' then
    done, wrong = apply_cap(control, line)
  elseif control.kind == 's' then
    done, wrong = apply_spent(control, line)
  end
  if not done then
    return wrong or 'BADLINE'
  end
  account[2] = control.cseq
  append('C', spack('<c7c27I5i8c1I6I6B', account_id, line, next_aseq('a' .. account_id, account), done.balance, done.result,
    done.paid, done.added, done.count) .. done.taken)
  return 'OK'
end
