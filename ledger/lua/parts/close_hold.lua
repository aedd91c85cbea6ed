-- Ends the open hold `id`, whose bytes are `raw`: `captured` of its price is spent, the rest goes back. `loans` is where
-- they begin in `raw`; `ending` is reason, status and detail as they go into the fact. Returns the answer.
local function close_hold(id, raw, price, credit_type, loans, outcome, captured, ending)
  local w = window_of(windows, credit_type)
  if not w then
    return 'CORRUPT'
  end
  if captured == price and outcome == 'c' then
    append('F', id .. ending) -- no balance moves: neither account nor key is touched, and there is no aseq
  else
    local account_id = sub(raw, 16, 22)
    local account_field = 'a' .. account_id
    local account, missing = account_of(account_field, stored[account_field])
    if not account then
      return missing
    end
    local lots = lots_of(raw, price)
    if not lots then
      return 'CORRUPT'
    end
    local p = pool_of(account, credit_type) or pool_or_new(account, credit_type)
    local lot_count = #lots / 4
    if account[p + 3] + lot_count > MAX_LOTS and filled_lots(account, p) + lot_count > MAX_LOTS then
      -- Hundreds of grants came while their forerunners were all held: wait until some are used up.
      return 'BUSY'
    end
    -- Debt is paid as if it had been used up with the rest: returned credit goes there first.
    local debt, left = account[p + 1], price - captured
    local paid = debt < left and debt or left
    account[p + 1] = debt - paid
    left = left - paid

    -- The rest goes to the lots that would be used up last.
    local count, packed, k = 0, '', #lots - 3
    while left > 0 do
      local part = lots[k + 3] < left and lots[k + 3] or left
      if part > 0 then
        local to = p + 4 * account[p + 3]
        while to > p and account[to] ~= lots[k] do
          to = to - 4
        end
        if to > p then
          account[to + 3] = account[to + 3] + part
        else
          local reach = reach_lent(raw, loans, lots[k])
          insert_lot(account, p, lots[k], lots[k + 1], lots[k + 2], part, reach)
        end
        left = left - part
        count = count + 1
        packed = count == 1 and spack('<I5I6', lots[k], part) or packed .. spack('<I5I6', lots[k], part)
      end
      k = k - 4
    end
    local available, due = available_in(account, p)
    local balance = available + account[p + 2] + due
    facts[#facts + 1] = spack('<c1Hc12c1I6c3c7BI5i8I6Bc0c0', 'S', 47 + #packed + #ending, id, outcome, captured,
      ending, account_id, credit_type, next_aseq(account_field, account), balance, paid, count, packed, sub(ending, 4))
    fact_count = fact_count + 1
    if due > 0 then
      expire_due(account_id, account, p)
    end
  end
  if loans <= #raw then
    limits().give_loans_back(id, raw, loans, outcome, captured)
  end
  windows[w + 2] = windows[w + 2] + price
  open_holds = open_holds > 0 and open_holds - 1 or 0
  local mark = spack('<c1c1I6', 'D', outcome, captured)
  hold_states[id] = mark
  put_hold(id, mark)
  return outcome == 'c' and captured or format('DONE %s %d', outcome, captured)
end
