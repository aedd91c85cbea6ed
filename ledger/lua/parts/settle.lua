-- SETTLE: the one ending of a hold. Line 'S': id c12, captured I6, reason B, status H, detail.
-- Reasons 1..19 capture, 20..39 void, 40 expires (only when the deadline has passed).
local SETTLE_BYTES = 22

-- Give `amount` of the hold's units back, to the lots that would be used up last.
-- Returns the number of lots and their packed amounts.
local function give_back(account, pool, lots, amount, open)
  local count, packed = 0, ''
  for k = #lots - 3, 1, -4 do
    if amount <= 0 then
      break
    end
    local part = math.min(lots[k + 3], amount)
    if part > 0 then
      local found = false
      for j = 1, #pool.lots, 4 do
        if pool.lots[j] == lots[k] then
          pool.lots[j + 3] = pool.lots[j + 3] + part
          found = true
          break
        end
      end
      if not found then
        insert_lot(account, pool, lots[k], lots[k + 1], lots[k + 2], part, reach_lent(open, lots[k]))
      end
      amount = amount - part
      count = count + 1
      packed = packed .. spack('<I5I6', lots[k], part)
    end
  end
  return count, packed
end

local function close_hold(id, open, outcome, captured, reason, status, detail)
  local window = meta.by_type[open.type]
  if not window then
    return 'CORRUPT'
  end
  if captured == open.price and outcome == 'c' then
    -- No balance moves: neither account nor key is touched, and there is no aseq.
    append('F', spack('<c12BH', id, reason, status) .. detail)
  else
    local account, missing = account_of(open.account)
    if not account then
      return missing
    end
    local lots = lots_of(open)
    if not lots then
      return 'CORRUPT'
    end
    local pool = pool_or_new(account, open.type)
    if filled_lots(pool) + open.count > MAX_LOTS then
      -- Hundreds of grants came while their forerunners were all held: wait until some are used up.
      return 'BUSY'
    end
    -- Debt is paid as if it had been used up with the rest: returned credit goes there first.
    local unused = open.price - captured
    local paid = math.min(pool.debt, unused)
    pool.debt = pool.debt - paid
    local count, packed = give_back(account, pool, lots, unused - paid, open)
    append('S', spack('<c12c1I6BHc7BI5i8I6B', id, outcome, captured, reason, status, open.account, open.type,
      next_aseq(open.account, account), balance_of(pool), paid, count) .. packed .. detail)
    expire_due(open.account, account, pool)
  end
  if open.loans <= #open.raw then
    limits().give_loans_back(id, open, outcome, captured)
  end
  window.R = window.R + open.price
  meta.open = math.max(meta.open - 1, 0)
  local mark = closed_mark(outcome, captured)
  hold_states[id] = mark
  put_hold(id, mark)
  return format('DONE %s %d', outcome, captured)
end

local function settle(line)
  if #line < SETTLE_BYTES or #line > SETTLE_BYTES + 1024 then
    return 'BADLINE'
  end
  local id, captured, reason, status = sunpack('<c12I6BH', line, 2)
  local outcome = reason >= 1 and reason < 20 and 'c' or reason >= 20 and reason < 40 and 'v' or reason == 40 and 'x'
  if not outcome or (outcome ~= 'c' and captured > 0) then
    return 'BADLINE'
  end
  local raw = hold_states[id]
  if not raw then
    return 'NOHOLD'
  end
  local closed, closed_amount = read_mark(raw)
  if closed == 'x' and captured > 0 then
    return 'EXPIRED'
  end
  if closed then
    return format('DONE %s %.0f', closed, closed_amount)
  end
  local open = read_hold(raw, id)
  if not open then
    return 'CORRUPT'
  end
  if captured > open.price then
    return format('TOOMUCH %.0f', open.price)
  end
  if outcome == 'x' and open.deadline > now then
    return 'EARLY'
  end
  return close_hold(id, open, outcome, captured, reason, status, sub(line, SETTLE_BYTES + 1))
end
