-- HOLD and the check of a free request. Line, 'H' or 'K':
--   id c12 (n >I8, session >I4) account I7 key I7 type B ceiling I6 version I4 rule H
--   deadline I6 scope B rate_interval_us I5 rate_burst_us I6, then detail (<= 1024 bytes)
-- Rate is GCRA: a request passes while the key's tat is at most burst ahead of now, and moves
-- it by interval; interval 0 is no limit. A refused hold leaves tat as it was. Scope may have the
-- bit of parts/limits.lua: then more limits stand before the detail, counted like the rate. Behind
-- them stands what parts/reach.lua reads, if its bit is there; and behind that, with bit 32, <I4, the
-- number of the plan that the price is of: an account that is on another gets that one's as the
-- answer, and nothing else happens. The last before the detail may be a claim (parts/claims.lua).
-- Bytes 2 to 46 of the line begin the fact as they are.
local PLANNED = 32
local MAX_DETAIL, MAX_N = 1024, 9007199254740991
local SPARE_FACTS = 100 -- room in the journal for what must never wait: controls, late captures
local session_highest
local keys = {}
local NO_CAPS = {}

local function key_of(id)
  local key = keys[id]
  if not key then
    local raw = stored['k' .. id]
    if not raw then
      return nil, 'BADKEY'
    end
    if #raw ~= 23 then
      return nil, 'CORRUPT'
    end
    local status, account, scopes, expiry, tat = sunpack('<Bc7BI6d', raw)
    if not whole(tat) then
      return nil, 'CORRUPT'
    end
    key = { status = status, account = account, scopes = scopes, expiry = expiry, tat = tat }
    keys[id] = key
  end
  return key
end

-- The account and the key if this request may be made with them now; else nil and the word.
local function authorise(account_id, key_id, scope)
  local account, missing = account_of(account_id)
  if not account then
    return nil, missing
  end
  if account.status ~= 1 then
    return nil, 'BLOCKED'
  end
  local key, wrong = key_of(key_id)
  if not key then
    return nil, wrong
  end
  if key.account ~= account_id or key.status ~= 1 or key.expiry <= now then
    return nil, 'BADKEY'
  end
  if bit.band(key.scopes, scope) ~= scope then
    return nil, 'SCOPE'
  end
  return account, key
end

local function use_rate(key_id, key, interval, asked)
  if interval > 0 then
    key.tat = math.max(key.tat, now * 1000) + (asked and asked.weight or 1) * interval
    key.changed = key_id
  end
end

local function told(key, interval, burst, asked)
  return asked and limits().standing(key, interval, burst, asked) or ''
end

local function repeated_hold(id, account_id, credit_type, line, reach_at)
  local raw = hold_states[id]
  if raw == nil then
    raw = redis.call('HGET', KEYS[4], id)
    hold_states[id] = raw
  end
  if not raw or byte(raw) == CLOSED_MARK then
    return 'GONE'
  end
  local open = read_hold(raw, id)
  if not open then
    return 'CORRUPT'
  end
  local account = account_of(account_id)
  local pool = account and pool_of(account, credit_type)
  local left = open.balance - (pool and pool.floor or 0)
  if pool and is_limited(account) then
    local _, units = out_of_reach(account, pool, line, reach_at)
    left = available_in(pool) - units
  end
  return format('%s %.0f', open.price > 0 and 'HELD' or 'FREE', left)
end

local function hold(line, only_check)
  if #line < HOLD_BYTES then
    return 'BADLINE'
  end
  local n, id_session, account_id, key_id, credit_type, ceiling, _, _, _, scope, interval, burst =
    sunpack('>I8I4<c7c7BI6I4HI6BI5I6', line, 2)
  local id, asked, plan, detail_at, reach_at = sub(line, 2, 13), nil, nil, HOLD_BYTES + 1, nil
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
      return 'BADLINE'
    end
    plan, detail_at = sunpack('<I4', line, detail_at)
  end
  local claim
  if scope >= CLAIMING then
    scope = scope - CLAIMING
    claim = detail_at and not only_check and claims().of(line, detail_at)
    detail_at = claim and claim.ends
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
      return repeated_hold(id, account_id, credit_type, line, reach_at)
    end
  end
  local account, key = authorise(account_id, key_id, scope)
  if not account then
    return key
  end
  if plan and plan ~= account.plan then
    return format('PLAN %d', account.plan)
  end
  local refusal = claim and claims().kept_by_owner(claim, id)
  if refusal then
    return refusal
  end
  if asked then
    refusal = limits().kept_back(key, interval, burst, asked)
  elseif interval > 0 and key.tat > now * 1000 + burst then
    refusal = format('LIMITED %.0f', math.ceil((key.tat - now * 1000 - burst) / 1000))
  end
  if refusal then
    return refusal
  end
  local window = meta.by_type[credit_type]
  if not window then
    return 'NOTYPE'
  end
  local pool = pool_of(account, credit_type)
  local available = pool and available_in(pool) or 0
  local barred
  if pool and account.reaches then
    local units, unknown
    barred, units, unknown = out_of_reach(account, pool, line, reach_at)
    if unknown then
      return 'NEWREACH'
    end
    available = available - units
  end
  if only_check then
    use_rate(key_id, key, interval, asked)
    if asked then
      limits().use(asked, true, nil, NO_CAPS, 0)
    end
    return format('PASS %.0f', available) .. told(key, interval, burst, asked)
  end
  local allowance = asked and ceiling > 0 and limits().allowance_for(asked)
  local price, caps = allowance and 0 or ceiling, NO_CAPS
  if price > 0 and bit.band(key.scopes, HAS_CAPS) ~= 0 then
    caps = limits().caps_of(key_id, credit_type)
    refusal = not caps and 'CORRUPT' or limits().capped(caps, price, credit_type)
    if refusal then
      return refusal
    end
  end
  if price > 0 and not (available >= price) then
    return format('INSUFFICIENT %.0f', available) .. told(key, interval, burst, asked)
  end
  if price > window.X then
    return format('TOOLARGE %.0f', window.X) -- waiting would not help
  end
  if window.H - window.K + price > window.X or window.H > MAX_COUNT / 2
      or meta.q + #facts - meta.kq > meta.J - 2 * meta.open - SPARE_FACTS then
    return 'BUSY'
  end
  use_rate(key_id, key, interval, asked)
  local loans, uses, use_count = '', '', 0
  if asked or caps ~= NO_CAPS then
    loans, uses, use_count = limits().use(asked, false, allowance, caps, price)
  end
  local count, allocation, balance = 0, '', 0
  if pool then
    expire_due(account_id, account, pool)
    count, allocation = take(pool, price, barred)
    if barred then
      loans = loans .. lend_reaches(account, allocation)
    end
    balance = balance_of(pool)
  end
  window.H = window.H + price
  meta.open = meta.open + 1
  session_highest = n
  session_used = true
  local ordered = price == ceiling and sub(line, 2, 46) or sub(line, 2, 28) .. spack('<I6', price) .. sub(line, 35, 46)
  -- One string at once, without `append`: most of what a hold costs is making strings.
  local length = 60 + #allocation + #line - detail_at
  local fact = 'H' .. spack('<H', length) .. ordered
    .. spack('<I5i8B', next_aseq(account_id, account), balance, count)
    .. allocation .. sub(line, detail_at)
  facts[#facts + 1] = fact
  hold_states[id] = fact .. loans
  put_hold(id, hold_states[id])
  if use_count > 0 then
    append('U', spack('<c12c7c7BB', id, account_id, key_id, 0, use_count) .. uses)
  end
  if claim then
    claims().take(claim, id, account_id, 0)
  end
  return format('%s %d', price > 0 and 'HELD' or 'FREE', available - price) .. told(key, interval, burst, asked)
end
