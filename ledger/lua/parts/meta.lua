-- The shard's packed state, `m`:
--   <d d d d d d B c16 B  epoch, q, kq, J, clock ms, open holds, frozen, chain, number of types
--   <B d d d d            per type: type, H units ever held, R returned, K returned and posted, X window
-- Numbers are doubles that hold whole numbers; anything else is a corrupt state, which is
-- treated like a missing one: the shard is rebuilt from Postgres.
-- include library
local MAX_COUNT = 9e15

-- What is no number, or infinite, leaves something when it is divided by 1.
local function read_meta(raw)
  if not raw or #raw < 66 then
    return nil
  end
  local epoch, q, kq, cap, clock, open, frozen, chain, count, at = sunpack('<ddddddBc16B', raw)
  if #raw ~= 66 + 33 * count or frozen > 1
      or not (epoch % 1 + q % 1 + kq % 1 + cap % 1 + clock % 1 + open % 1 == 0)
      or epoch < 0 or q < 0 or kq < 0 or cap < 0 or clock < 0 or open < 0
      or epoch > MAX_COUNT or q > MAX_COUNT or kq > MAX_COUNT or cap > MAX_COUNT or clock > MAX_COUNT or open > MAX_COUNT then
    return nil
  end
  local windows, by_type = {}, {}
  for i = 1, count do
    local credit_type, held, returned, posted, window
    credit_type, held, returned, posted, window, at = sunpack('<Bdddd', raw, at)
    if not (held % 1 + returned % 1 + posted % 1 + window % 1 == 0)
        or held < 0 or returned < 0 or posted < 0 or window < 0
        or held > MAX_COUNT or returned > MAX_COUNT or posted > MAX_COUNT or window > MAX_COUNT then
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
