-- The shard's packed state, `m`:
--   <d d d d d d B c16 B  epoch, q, kq, J, clock ms, open holds, frozen, chain, number of types
--   <B d d d d            per type: type, H units ever held, R returned, K returned and posted, X window
-- Numbers are doubles that hold whole numbers; anything else is a corrupt state, which is
-- treated like a missing one: the shard is rebuilt from Postgres.
-- Every call reads it, and tables are much of what that costs. So it is taken apart into locals, and the types' windows
-- into one flat list, where a window goes by its place w:
--   [w] type, [w + 1] H, [w + 2] R, [w + 3] K, [w + 4] X; the first is at 1, each other 5 behind the one before.
-- include library
local MAX_COUNT, A_TYPE = 9e15, 5

-- Returns epoch, q, kq, J, clock, open holds, frozen, chain and windows; nothing if the bytes do not add up.
-- What is no number, or infinite, leaves something when it is divided by 1.
local function read_meta(raw)
  if not raw or #raw < 66 then
    return nil
  end
  local epoch, q, kq, cap, clock, open, frozen, chain, count = struct.unpack('<ddddddBc16B', raw)
  if #raw ~= 66 + 33 * count or frozen > 1
      or not (epoch % 1 + q % 1 + kq % 1 + cap % 1 + clock % 1 + open % 1 == 0)
      or epoch < 0 or q < 0 or kq < 0 or cap < 0 or clock < 0 or open < 0
      or epoch > MAX_COUNT or q > MAX_COUNT or kq > MAX_COUNT or cap > MAX_COUNT or clock > MAX_COUNT or open > MAX_COUNT then
    return nil
  end
  local windows = { struct.unpack(count == 1 and '<Bdddd' or '<' .. string.rep('Bdddd', count), raw, 67) }
  windows[A_TYPE * count + 1] = nil -- where they end
  for w = 1, #windows, A_TYPE do
    local held, returned, posted, most = windows[w + 1], windows[w + 2], windows[w + 3], windows[w + 4]
    if not (held % 1 + returned % 1 + posted % 1 + most % 1 == 0)
        or held < 0 or returned < 0 or posted < 0 or most < 0
        or held > MAX_COUNT or returned > MAX_COUNT or posted > MAX_COUNT or most > MAX_COUNT then
      return nil
    end
  end
  return epoch, q, kq, cap, clock, open, frozen, chain, windows
end
