-- HOLD and the check of a free request. Line, 'H' or 'K':
--   length H, id c12 (n >I8, session >I4) account I7 key I7 type B ceiling I6 version I4 rule H
--   deadline I6 scope B rate_interval_us I5 rate_burst_us I6, then detail (<= 1024 bytes)
-- Rate is GCRA: a request passes while the key's tat is at most burst ahead of now, and moves
-- it by interval; interval 0 is no limit. A refused hold leaves tat as it was. What bits of the
-- scope say stands before the detail: parts/hold_extras.lua.
-- Bytes 4 to 48 of the line are the fact's as they are. Where the length is that of the fact of a plain hold, as
-- gateways write it, the fact begins with all 48: that is parts/plain_hold.lua's; here the length does not matter.
-- A key, field 'k' + I7 of `b`: <B c7 B I6 d  status, account, scopes, expiry ms, tat us
-- Every hold that parts/plain_hold.lua leaves. It gets the fields of account and key, and what was read of them; an
-- earlier line of the call may have changed both.
local function hold(line, kind, account_field, account_raw, key_field, key_raw)
  local n, id_session, account_id, key_id, held_type, ceiling, _, _, _, scope, interval, burst =
    sunpack('>I8I4<c7c7BI6I4HI6BI5I6', line, 4)
  local id, only_check, detail_at = sub(line, 4, 15), kind == CHECK, HOLD_BYTES + 1
  local asked, reach_at, plan, claim
  if scope >= CLAIMING then
    scope, detail_at, asked, reach_at, plan, claim = read_extras(line, scope, only_check)
  end
  if not detail_at or #line - detail_at >= MAX_DETAIL then
    return 'BADLINE'
  end
  if not only_check then
    local least = asked and asked.limits.counted and 0 or 1
    if n > MAX_N or id_session ~= session or session == 0 or ceiling < least or ceiling > MAX_AMOUNT then
      return 'BADLINE'
    end
    if not session_highest then
      return session_highest == nil and 'NEWID' or 'CORRUPT'
    end
    if n <= session_highest then
      return repeated_hold(id, account_field, account_raw, held_type, line, reach_at)
    end
  end

  -- Whether this request may be made with this account and key now.
  local had_a_line = accounts[account_field] or fresh[account_field]
  local account, missing = account_of(account_field, account_raw)
  if not account or account[1] ~= 1 then
    return missing or 'BLOCKED'
  end
  -- An earlier line of this call may have changed the key: what that writes is newer than what was read.
  key_raw = had_a_line and written(balances_written, key_field) or key_raw
  if not key_raw or #key_raw ~= KEY_BYTES then
    return key_raw and 'CORRUPT' or 'BADKEY'
  end
  local key_status, key_account, scopes, expiry, tat = sunpack('<Bc7BI6d', key_raw)
  if not (tat >= 0 and tat <= MAX_COUNT and tat % 1 == 0) then
    return 'CORRUPT'
  end
  if key_account ~= account_id or key_status ~= 1 or expiry <= now then
    return 'BADKEY'
  end
  if band(scopes, scope) ~= scope then
    return 'SCOPE'
  end
  if plan and plan ~= (account.plan or 0) then
    return format('PLAN %d', account.plan or 0)
  end
  local answer = claim and claims().kept_by_owner(claim, id)
  if answer then
    return answer
  end
  if asked then
    answer = limits().kept_back(tat, interval, burst, asked)
  elseif interval > 0 and tat > now * 1000 + burst then
    answer = format('LIMITED %.0f', math.ceil((tat - now * 1000 - burst) / 1000))
  end
  if answer then
    return answer
  end

  -- What it costs, and whether there is enough for it.
  local w = window_of(windows, held_type)
  if not w then
    return 'NOTYPE'
  end
  local p, available, balance, due, barred = pool_of(account, held_type), 0, 0, 0, nil
  if p then
    available, due = available_in(account, p)
    balance = available + account[p + 2] -- once what is due has expired
    if account.reaches then
      local units, unknown
      barred, units, unknown = out_of_reach(account, p, line, reach_at)
      if unknown then
        return 'NEWREACH'
      end
      available = available - units
    end
  end
  local allowance, caps, price
  if only_check then
    price = 0
  else
    allowance = asked and ceiling > 0 and limits().allowance_for(asked)
    price = allowance and 0 or ceiling
  end
  if price > 0 then
    if band(scopes, HAS_CAPS) ~= 0 then
      caps = limits().caps_of(key_id, held_type)
      answer = not caps and 'CORRUPT' or limits().capped(caps, price, held_type)
      if answer then
        return answer
      end
    end
    if not (available >= price) then
      answer = format('INSUFFICIENT %.0f', available)
      return asked and answer .. limits().standing(tat, interval, burst, asked) or answer
    end
    if price > windows[w + 4] then
      return format('TOOLARGE %.0f', windows[w + 4]) -- waiting would not help
    end
  end
  if not only_check and (windows[w + 1] - windows[w + 3] + price > windows[w + 4] or windows[w + 1] > MOST_HELD
      or fact_count > room - 2 * open_holds - SPARE_FACTS) then
    return 'BUSY'
  end

  -- It passes: from here on things change.
  if interval > 0 then
    local from = now * 1000
    tat = (tat > from and tat or from) + (asked and asked.weight or 1) * interval
    put_balance(key_field, spack('<c15d', key_raw, tat)) -- of its numbers only the last has changed
  end
  local lent, uses, use_count = '', '', 0
  if asked or caps then
    lent, uses, use_count = limits().use(asked, only_check, allowance, caps or {}, price)
  end
  if only_check then
    answer = format('PASS %.0f', available)
    return asked and answer .. limits().standing(tat, interval, burst, asked) or answer
  end
  if due > 0 then
    expire_due(account_id, account, p)
  end
  windows[w + 1] = windows[w + 1] + price
  open_holds = open_holds + 1
  session_highest = n
  session_used = true
  local order = sub(line, 4, 48)
  if price ~= ceiling then
    order = sub(order, 1, 27) .. spack('<I6', price) .. sub(order, 34)
  end
  local aseq = next_aseq(account_field, account)
  local lot
  if price > 0 and not barred then
    lot = p + 4
    while account[lot + 3] == 0 do
      lot = lot + 4
    end
  end
  -- One string at once: most of what a hold costs is making strings. Nearly always one lot has enough for all of it.
  local fact
  if lot and account[lot + 3] >= price then
    account[lot + 3] = account[lot + 3] - price
    fact = spack('<c1Hc45I5i8BI5BI6I6c0', 'H', 78 + #line - detail_at, order, aseq, balance - price, 1,
      account[lot], account[lot + 1], account[lot + 2], price, sub(line, detail_at))
  else
    local lot_count, allocation = 0, ''
    if p then
      lot_count, allocation = take(account, p, price, barred)
    end
    if barred then
      lent = lent .. lend_reaches(account, allocation)
    end
    fact = spack('<c1Hc45I5i8Bc0c0', 'H', 60 + #allocation + #line - detail_at, order, aseq, balance - price,
      lot_count, allocation, sub(line, detail_at))
  end
  facts[#facts + 1] = fact
  fact_count = fact_count + 1
  put_hold(id, lent == '' and fact or fact .. lent)
  if use_count > 0 then
    append('U', spack('<c12c7c7BB', id, account_id, key_id, 0, use_count) .. uses)
  end
  if claim then
    claims().take(claim, id, account_id, 0)
  end
  if not asked then
    return price > 0 and available - price or format('FREE %d', available)
  end
  return format(price > 0 and 'HELD %d' or 'FREE %d', available - price) .. limits().standing(tat, interval, burst, asked)
end
