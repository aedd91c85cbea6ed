-- What limits have counted, whoever counts it: requests, settlements, controls; see parts/limits.lua.
-- `stored` has what the call has read already, by field.
local CAPPED = 4 -- among a key's scopes: it has caps on what it spends
local ALL_ROUTES, EVERYONE = string.rep('\0', 4), string.rep('\0', 7)
local TALLY_BYTES, LOAN_BYTES = 17, 20
local DAY_MS = 86400000
local PERIODIC = { Q = true, A = true, C = true }
local tallies = {} -- field -> { values, kinds, windows by id; changed }, or false where corrupt
local calendar

local function tally_field(whose, route, account_id, key_id)
  local owner = whose == 'k' and key_id or whose == 'a' and account_id or EVERYONE
  return 'l' .. whose .. owner .. route
end

-- Days from 1970 to the first of a month of the Gregorian calendar (years that begin in March).
local function days_to(year, month)
  if month <= 2 then
    year = year - 1
  end
  local days = floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5)
  return 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + days - 719468
end

local function month_of(day)
  local of_era = (day + 719468) % 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local march = floor((5 * (of_era - (365 * year + floor(year / 4) - floor(year / 100))) + 2) / 153)
  local month = march < 10 and march + 3 or march - 9
  return year + 400 * floor((day + 719468) / 146097) + (month <= 2 and 1 or 0), month
end

-- The window that an id's second byte names, as it is now: its number, and when it ends (ms).
local function period_of(id)
  if not calendar then
    local day = floor(now / DAY_MS)
    local year, month = month_of(day)
    local next_month = month < 12 and days_to(year, month + 1) or days_to(year + 1, 1)
    calendar = {
      [0] = { number = 0 },
      { number = day, ends = (day + 1) * DAY_MS },
      { number = 12 * year + month - 1, ends = next_month * DAY_MS },
    }
  end
  return calendar[byte(id, 2)] or calendar[0]
end

local function read_tallies(raw)
  if #raw % TALLY_BYTES ~= 0 then
    return false
  end
  local tally, at = { values = {}, kinds = {}, windows = {} }, 1
  while at <= #raw do
    local id, kind, window, value
    id, kind, window, value, at = sunpack('<c4c1I4d', raw, at)
    if not whole(value) then
      return false
    end
    tally.values[id], tally.kinds[id], tally.windows[id] = value, kind, window
  end
  return tally
end

-- What the call has not read with the rest is read now, before anything is written.
local function tally_of(field)
  local tally = tallies[field]
  if tally == nil then
    local raw = stored[field]
    if raw == nil then
      raw = redis.call('HGET', KEYS[3], field)
    end
    tally = read_tallies(raw or '')
    tallies[field] = tally
  end
  return tally
end

local function used(tally, id)
  local value = tally.values[id]
  if not value or PERIODIC[tally.kinds[id]] and tally.windows[id] ~= period_of(id).number then
    return 0
  end
  return value
end

local function put_use(tally, id, kind, value)
  tally.values[id], tally.kinds[id] = value, kind
  tally.windows[id] = PERIODIC[kind] and period_of(id).number or 0
  tally.changed = true
end

-- Name the fields that the end of this hold touches.
local function want_loans(raw, first, wanted)
  if (#raw - first + 1) % LOAN_BYTES > 0 then
    return -- no hold
  end
  for at = first, #raw, LOAN_BYTES do
    local whose, route = sunpack('<c1c4', raw, at)
    wanted[tally_field(whose, route, sub(raw, 16, 22), sub(raw, 23, 29))] = true
  end
end

-- A hold has ended. What was captured stays counted, what failed is given back, in flight is over.
local function give_loans_back(id, open, outcome, captured)
  local raw, lasting, count = open.raw, '', 0
  for at = open.loans, #raw, LOAN_BYTES do
    local whose, route, limit, kind, window, amount = sunpack('<c1c4c4c1I4I6', raw, at)
    local back = amount
    if outcome == 'c' and kind ~= 'F' then
      back = kind == 'C' and amount - captured or 0
    end
    local tally = tally_of(tally_field(whose, route, open.account, open.key))
    -- A corrupt tally keeps no credit from coming back.
    if tally and tally.values[limit] and tally.windows[limit] == window and back > 0 then
      tally.values[limit] = math.max(tally.values[limit] - back, 0)
      tally.changed = true
    end
    if kind ~= 'F' and back > 0 then
      lasting = lasting .. spack('<c1c4c4c1I4I6', whose, route, limit, kind, window, back)
      count = count + 1
    end
  end
  if count > 0 then
    append('U', spack('<c12c7c7BB', id, open.account, open.key, 1, count) .. lasting)
  end
end

-- What counts nothing any more is left out: limits that the price file has no longer, too.
local function put_tallies()
  for field, tally in pairs(tallies) do
    if tally and tally.changed then
      local packed = ''
      for id, value in pairs(tally.values) do
        local kind, window = tally.kinds[id], tally.windows[id]
        local counts = value > 0
        if kind == 'R' then
          counts = value > now * 1000
        elseif PERIODIC[kind] then
          counts = value > 0 and window == period_of(id).number
        elseif kind == 'c' then
          counts = true
        end
        if counts then
          packed = packed .. spack('<c4c1I4d', id, kind, window, value)
        end
      end
      put_balance(field, packed)
    end
  end
end
