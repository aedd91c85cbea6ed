-- The shard's packed state, `m`:
--   <d d d d d d B c16 B  epoch, q, kq, J, clock ms, open holds, frozen, chain, number of types
--   <B d d d d            per type: type, H units ever held, R returned, K returned and posted, X window
-- Numbers are doubles that hold whole numbers; anything else is a corrupt state, which is
-- treated like a missing one: the shard is rebuilt from Postgres.
local spack, sunpack = struct.pack, struct.unpack
local sub, byte, format, floor = string.sub, string.byte, string.format, math.floor
local MAX_COUNT = 9e15

-- NaN fails every comparison, infinity the limit.
local function whole(number)
  return number >= 0 and number <= MAX_COUNT and floor(number) == number
end

local function read_meta(raw)
  if not raw or #raw < 66 then
    return nil
  end
  local epoch, q, kq, cap, clock, open, frozen, chain, count, at = sunpack('<ddddddBc16B', raw)
  if #raw ~= 66 + 33 * count or frozen > 1
      or not (whole(epoch) and whole(q) and whole(kq) and whole(cap) and whole(clock) and whole(open)) then
    return nil
  end
  local windows, by_type = {}, {}
  for i = 1, count do
    local credit_type, held, returned, posted, window
    credit_type, held, returned, posted, window, at = sunpack('<Bdddd', raw, at)
    if not (whole(held) and whole(returned) and whole(posted) and whole(window)) then
      return nil
    end
    local entry = { type = credit_type, H = held, R = returned, K = posted, X = window }
    windows[i] = entry
    by_type[credit_type] = entry
  end
  return {
    epoch = epoch, q = q, kq = kq, J = cap, clock = clock, open = open, frozen = frozen, chain = chain,
    windows = windows, by_type = by_type,
  }
end

local function pack_meta(meta)
  local raw = spack('<ddddddBc16B', meta.epoch, meta.q, meta.kq, meta.J, meta.clock, meta.open,
    meta.frozen, meta.chain, #meta.windows)
  for i = 1, #meta.windows do
    local window = meta.windows[i]
    raw = raw .. spack('<Bdddd', window.type, window.H, window.R, window.K, window.X)
  end
  return raw
end

local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + floor(time[2] / 1000)
end
