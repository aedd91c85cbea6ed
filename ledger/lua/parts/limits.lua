-- Limits of a hold or check, besides the key's own rate. A line whose scope has bit 128 goes on
-- behind its fixed part with
--   <B H                 number of limits, weight: how many requests this one counts as
--   <c1 c4 c4 c1 I6 I6   per limit: whose (k key, a account, e everyone), route or zeros, id, kind, a, b
--     R rate       GCRA: one request each a us, at most b us ahead of that pace
--     F in flight  a holds at once, whatever their weight; a check holds nothing and is not counted
--     Q quota      a requests in a window of the calendar (UTC), the second byte of the id: 1 day, 2 month
--     A allowance  a requests in such a window are held at price 0; no limit
-- A key with bit 4 in its scopes has caps on what it spends: type by type, in a day, month or for ever (0).
-- The state is in field 'l' + whose + I7 (account, key or 0) + route c4 of `b`, 17 bytes a limit:
--   <c4 c1 I4 d          id, kind, window's number, value: R when the even pace has caught up (us),
--                        F holds, Q and A requests, C units spent (id 'C' window type 0), c the cap of `C`
-- What a hold must give back stands behind its fact in `h`, 20 bytes each:
--   <c1 c4 c4 c1 I4 I6   whose, route, id, kind, window's number, amount
-- and among them, kind L, the lots that were limited to some routes: see parts/reach.lua.
-- Q, A and C come back with an epoch: each use is a fact 'U', hold c12, account c7, key c7, B (0 used,
-- 1 given back), number B and such 20 bytes. R and F begin anew.
local MOST_LIMITS, LIMIT_BYTES = 32, 22
local IN_FLIGHT_RETRY_MS = 1000 -- nobody knows when a request of another will end
local KINDS = { R = true, F = true, Q = true, A = true }
local limit_sets = {} -- bytes -> parsed, or false where they are none
local asked_by = {} -- line -> what it asks

-- Limits of one owner and route have one field: `places` are the different ones.
local function read_limit_set(bytes)
  local set, at, known = { places = {} }, 1, {}
  for i = 1, #bytes / LIMIT_BYTES do
    local limit = {}
    limit.whose, limit.route, limit.id, limit.kind, limit.a, limit.b, at = sunpack('<c1c4c4c1I6I6', bytes, at)
    if not KINDS[limit.kind] or limit.kind == 'R' and limit.a == 0
        or (limit.kind == 'Q' or limit.kind == 'A') and byte(limit.id, 2) ~= 1 and byte(limit.id, 2) ~= 2 then
      return false
    end
    local place = limit.whose .. limit.route
    if not known[place] then
      set.places[#set.places + 1] = limit
      known[place] = #set.places
    end
    limit.place = known[place]
    set.counted = set.counted or limit.kind == 'Q'
    set[i] = limit
  end
  return set
end

-- What a limited line asks: limits, fields of their places, weight, and where its detail begins.
local function want_limits(line)
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
  local fields, account_id, key_id = {}, sub(line, 16, 22), sub(line, 23, 29)
  for i = 1, #set.places do
    local field = tally_field(set.places[i].whose, set.places[i].route, account_id, key_id)
    fields[i] = field
    wanted_fields[field] = true
  end
  asked_by[line] = { limits = set, fields = fields, weight = weight, detail = ends + 1, values = {} }
end

-- What to answer if a limit keeps the request back: of several the one that does so longest.
-- Number 0 is the key's own rate, else the limit's place in the line. Leaves behind what is counted.
local function kept_back(tat, interval, burst, asked)
  local weight, longest, which = asked.weight, 0, nil
  if interval > 0 then
    local ahead = tat + (weight - 1) * interval - burst - now * 1000
    if ahead > 0 then
      longest, which = math.ceil(ahead / 1000), 0
    end
  end
  for i = 1, #asked.limits do
    local limit = asked.limits[i]
    local tally = tally_of(asked.fields[limit.place])
    local value, wait = tally and used(tally, limit.id), 0
    if not value then
      return 'CORRUPT'
    end
    asked.values[i] = value
    local kind = limit.kind
    if kind == 'R' then
      wait = math.ceil((value + (weight - 1) * limit.a - limit.b - now * 1000) / 1000)
    elseif kind == 'F' then
      wait = value >= limit.a and IN_FLIGHT_RETRY_MS or 0
    elseif kind == 'Q' then
      wait = value + weight > limit.a and period_of(limit.id).ends - now or 0
    end
    if wait > longest then
      longest, which = wait, i
    end
  end
  if which then
    return format('LIMITED %.0f %d', longest, which)
  end
end

-- The place of the first allowance that has room for this request; nil if it costs credits.
local function allowance_for(asked)
  for i = 1, #asked.limits do
    local limit = asked.limits[i]
    if limit.kind == 'A' and asked.values[i] + asked.weight <= limit.a then
      return i
    end
  end
end

-- What to answer if a cap of the key leaves no room: until when (0: for ever), type, and which window.
local function capped(caps, price, credit_type)
  local longest, which
  for i = 1, #caps do
    local cap = caps[i]
    if cap.spent + price > cap.most then
      local period = period_of(cap.id)
      local ends = period.ends or math.huge
      if not which or ends > longest then
        longest, which = ends, byte(cap.id, 2)
      end
    end
  end
  if which then
    return format('CAPPED %.0f %d %d', which == 0 and 0 or longest - now, credit_type, which)
  end
end

-- Count a request that passes; returns what its hold must give back one day, how much of that is a
-- fact's, and their number.
local function use_limits(asked, only_check, allowance, caps, price)
  local weight = asked and asked.weight
  local passing, lasting, count = '', '', 0
  for i = 1, asked and #asked.limits or 0 do
    local limit, value = asked.limits[i], asked.values[i]
    local id, kind = limit.id, limit.kind
    if kind == 'R' then
      value = math.max(value, now * 1000) + weight * limit.a
    elseif only_check then
      value = nil
    elseif kind == 'F' then
      value = value + 1
      passing = passing .. spack('<c1c4c4c1I4I6', limit.whose, limit.route, id, 'F', 0, 1)
    elseif kind == 'Q' or i == allowance then
      value = value + weight
      lasting = lasting .. spack('<c1c4c4c1I4I6', limit.whose, limit.route, id, kind, period_of(id).number, weight)
      count = count + 1
    else
      value = nil
    end
    if value then
      asked.values[i] = value
      put_use(asked.fields[limit.place], id, kind, value)
    end
  end
  local spent, cap_count = use_caps(caps, price)
  lasting = lasting .. spent
  return passing .. lasting, lasting, count + cap_count
end

local function of_rate(tat, interval, burst)
  local ahead = math.max(tat - now * 1000, 0)
  return math.max(floor((burst + interval - ahead) / interval), 0), math.ceil(ahead / 1000000)
end

-- How the limits stand, two words each: what is left, and seconds until all of it is back.
local function standing(tat, interval, burst, asked)
  local numbers, count = {}, 0
  if interval > 0 then
    numbers[1], numbers[2] = of_rate(tat, interval, burst)
    count = 2
  end
  for i = 1, #asked.limits do
    local limit, value = asked.limits[i], asked.values[i]
    local kind, left, reset_s = limit.kind, nil, 0
    if kind == 'R' then
      left, reset_s = of_rate(value, limit.a, limit.b)
    elseif kind == 'F' then
      left = math.max(limit.a - value, 0)
    elseif kind == 'Q' then
      left, reset_s = math.max(limit.a - value, 0), math.ceil((period_of(limit.id).ends - now) / 1000)
    end
    if left then
      numbers[count + 1], numbers[count + 2] = left, reset_s
      count = count + 2
    end
  end
  return format(string.rep(' %d', count), unpack(numbers))
end
