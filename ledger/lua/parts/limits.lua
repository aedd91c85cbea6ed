-- Limits of a hold or check, besides the key's own rate. A line whose scope has bit 128 goes on
-- behind its fixed part with
--   <B H                 number of limits, weight: how many requests this one counts as
--   <c1 c4 c4 c1 I6 I6   per limit: whose (k key, a account, e everyone), route or zeros, id, kind, a, b
--     R rate       GCRA: one request each a us, at most b us ahead of that pace
--     F in flight  a holds at once, whatever their weight; a check holds nothing and is not counted
-- The state is in field 'l' + whose + I7 (account, key or 0) + route c4 of `b`, 17 bytes a limit:
--   <c4 c1 I4 d          id, kind, window (0), value: R when the even pace has caught up (us), F holds
-- What a hold must give back stands behind its fact in `h`, 12 bytes each: <c1 c4 c4 c1 H
--   whose, route, id, kind, amount. It ends with the epoch, and so does the state.
local LIMITED, MOST_LIMITS, LIMIT_BYTES, TALLY_BYTES, LOAN_BYTES = 128, 32, 22, 17, 12
local HOLD_BYTES = 58
local EVERYONE = string.rep('\0', 7)
local IN_FLIGHT_RETRY_MS = 1000 -- nobody knows when a request of another will end
local limit_sets = {} -- bytes -> parsed, or false where they are none
local asked_by = {} -- line -> what it asks
local tallies = {} -- field -> { values by id, kinds by id, changed }, or false where corrupt

local function tally_field(whose, route, account_id, key_id)
  local owner = whose == 'k' and key_id or whose == 'a' and account_id or EVERYONE
  return 'l' .. whose .. owner .. route
end

local function read_limit_set(bytes)
  local set, at = {}, 1
  for i = 1, #bytes / LIMIT_BYTES do
    local limit = {}
    limit.whose, limit.route, limit.id, limit.kind, limit.a, limit.b, at = sunpack('<c1c4c4c1I6I6', bytes, at)
    if limit.kind ~= 'R' and limit.kind ~= 'F' or limit.kind == 'R' and limit.a == 0 then
      return false
    end
    set[i] = limit
  end
  return set
end

-- What a limited line asks: limits, their fields, weight, and where its detail begins.
local function want_limits(line, wanted)
  if #line < HOLD_BYTES + 3 then
    return
  end
  local count, weight = sunpack('<BH', line, HOLD_BYTES + 1)
  local ends = HOLD_BYTES + 3 + count * LIMIT_BYTES
  if count > MOST_LIMITS or weight == 0 or #line < ends then
    return
  end
  local bytes = sub(line, HOLD_BYTES + 4, ends)
  local set = limit_sets[bytes]
  if set == nil then
    set = read_limit_set(bytes)
    limit_sets[bytes] = set
  end
  if not set then
    return
  end
  local fields, account_id, key_id = {}, sub(line, 14, 20), sub(line, 21, 27)
  for i = 1, count do
    local field = tally_field(set[i].whose, set[i].route, account_id, key_id)
    fields[i] = field
    wanted[field] = true
  end
  asked_by[line] = { limits = set, fields = fields, weight = weight, detail = ends + 1 }
end

local function tally_of(field)
  local tally = tallies[field]
  if tally == nil then
    local raw = stored[field] or ''
    tally = #raw % TALLY_BYTES == 0 and { values = {}, kinds = {} }
    for at = 1, tally and #raw or 0, TALLY_BYTES do
      local id, kind, _, value = sunpack('<c4c1I4d', raw, at)
      if not whole(value) then
        tally = false
        break
      end
      tally.values[id], tally.kinds[id] = value, kind
    end
    tallies[field] = tally
  end
  return tally
end

-- What to answer if a limit keeps the request back: of several the one that does so longest.
-- Number 0 is the key's own rate, else the limit's place in the line.
local function kept_back(key, interval, burst, asked)
  local weight, longest, which = asked and asked.weight or 1, 0, nil
  if interval > 0 then
    local ahead = key.tat + (weight - 1) * interval - burst - now * 1000
    if ahead > 0 then
      longest, which = math.ceil(ahead / 1000), 0
    end
  end
  for i = 1, asked and #asked.limits or 0 do
    local limit, tally = asked.limits[i], tally_of(asked.fields[i])
    if not tally then
      return 'CORRUPT'
    end
    local value, wait = tally.values[limit.id] or 0, 0
    if limit.kind == 'R' then
      wait = math.ceil((value + (weight - 1) * limit.a - limit.b - now * 1000) / 1000)
    elseif value >= limit.a then
      wait = IN_FLIGHT_RETRY_MS
    end
    if wait > longest then
      longest, which = wait, i
    end
  end
  if which then
    return asked and format('LIMITED %.0f %d', longest, which) or format('LIMITED %.0f', longest)
  end
end

-- Count a request that passes; returns what its hold must give back one day.
local function use_limits(key_id, key, interval, asked, only_check)
  local weight = asked and asked.weight or 1
  if interval > 0 then
    key.tat = math.max(key.tat, now * 1000) + weight * interval
    key.changed = key_id
  end
  local loans = ''
  for i = 1, asked and #asked.limits or 0 do
    local limit, tally = asked.limits[i], tally_of(asked.fields[i])
    local id = limit.id
    if limit.kind == 'R' then
      tally.values[id] = math.max(tally.values[id] or 0, now * 1000) + weight * limit.a
      tally.kinds[id], tally.changed = 'R', true
    elseif not only_check then
      tally.values[id] = (tally.values[id] or 0) + 1
      tally.kinds[id], tally.changed = 'F', true
      loans = loans .. spack('<c1c4c4c1H', limit.whose, limit.route, id, 'F', 1)
    end
  end
  return loans
end

local function of_rate(tat, interval, burst)
  local ahead = math.max(tat - now * 1000, 0)
  return format(' %.0f %.0f', math.max(floor((burst + interval - ahead) / interval), 0), math.ceil(ahead / 1000000))
end

-- How the limits stand, two words each: what is left, and seconds until all of it is back.
local function standing(key, interval, burst, asked)
  if not asked then
    return ''
  end
  local words = { interval > 0 and of_rate(key.tat, interval, burst) or '' }
  for i = 1, #asked.limits do
    local limit, tally = asked.limits[i], tally_of(asked.fields[i])
    local value = tally.values[limit.id] or 0
    if limit.kind == 'R' then
      words[i + 1] = of_rate(value, limit.a, limit.b)
    else
      words[i + 1] = format(' %.0f 0', math.max(limit.a - value, 0))
    end
  end
  return table.concat(words)
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

local function give_loans_back(raw, first)
  for at = first, #raw, LOAN_BYTES do
    local whose, route, id, _, amount = sunpack('<c1c4c4c1H', raw, at)
    local tally = tally_of(tally_field(whose, route, sub(raw, 16, 22), sub(raw, 23, 29)))
    -- A corrupt tally keeps no credit from coming back.
    if tally and tally.values[id] then
      tally.values[id] = math.max(tally.values[id] - amount, 0)
      tally.changed = true
    end
  end
end

-- What counts nothing any more is left out: limits that the price file has no longer, too.
local function put_tallies()
  for field, tally in pairs(tallies) do
    if tally and tally.changed then
      local packed = ''
      for id, value in pairs(tally.values) do
        local kind = tally.kinds[id]
        if kind == 'R' and value > now * 1000 or kind == 'F' and value > 0 then
          packed = packed .. spack('<c4c1I4d', id, kind, 0, value)
        end
      end
      put_balance(field, packed)
    end
  end
end
