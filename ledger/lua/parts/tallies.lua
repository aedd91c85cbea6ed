-- What limits have counted, whoever counts it: requests, settlements, controls; see parts/limits.lua.
-- `stored` has what the call has read already, by field.
-- include tally_kinds
local ALL_ROUTES, EVERYONE = string.rep('\0', 4), string.rep('\0', 7)
local DAY_MS = 86400000
local tallies = {} -- field -> bytes as of this call, or false where they do not add up
local counted = {} -- fields that have changed
local wanted_fields = {} -- those to be read with the rest
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

-- What the call has not read with the rest is read now, before anything is written.
local function tally_of(field)
  local raw = tallies[field]
  if raw == nil then
    raw = stored[field]
    if raw == nil then
      raw = redis.call('HGET', KEYS[3], field)
    end
    raw = raw or ''
    raw = #raw % TALLY_BYTES == 0 and raw
    tallies[field] = raw
  end
  return raw
end

-- Where a limit stands in a field's bytes; nil if nothing was counted yet.
local function place_of(raw, id)
  local at = string.find(raw, id, 1, true)
  while at and at % TALLY_BYTES ~= 1 do
    at = string.find(raw, id, at + 1, true)
  end
  return at
end

-- What is counted in the window of now; nil if the bytes are no number.
local function used(raw, id)
  local at = place_of(raw, id)
  if not at then
    return 0
  end
  local window, value = sunpack('<I4d', raw, at + 5)
  if not whole(value) then
    return nil
  end
  if PERIODIC[byte(raw, at + 4)] and window ~= period_of(id).number then
    return 0
  end
  return value
end

-- The bytes without what counts nothing any more: limits that the price file has no longer, too.
local function swept(raw)
  local kept = ''
  for at = 1, #raw, TALLY_BYTES do
    local id, kind, window, value = sub(raw, at, at + 3), byte(raw, at + 4), sunpack('<I4d', raw, at + 5)
    local least = kind == A_RATE and now * 1000 or 0
    if kind == A_CAP or value > least and not (PERIODIC[kind] and window ~= period_of(id).number) then
      kept = kept .. sub(raw, at, at + TALLY_BYTES - 1)
    end
  end
  return kept
end

-- Only a limit that is new here makes others go: so the usual count changes a few bytes.
local function put_use(field, id, kind, value)
  local raw = tallies[field]
  local window = PERIODIC[byte(kind)] and period_of(id).number or 0
  local entry, at = spack('<c4c1I4d', id, kind, window, value), place_of(raw, id)
  if at then
    tallies[field] = sub(raw, 1, at - 1) .. entry .. sub(raw, at + TALLY_BYTES)
  else
    tallies[field] = swept(raw) .. entry
  end
  counted[field] = true
end

local function put_tallies()
  for field in pairs(counted) do
    put_balance(field, tallies[field])
  end
end
