-- The state as it is written, and where a window is in it; see parts/meta.lua.

local function pack_meta(epoch, q, kq, cap, clock, open, frozen, chain, windows)
  local count = #windows / A_TYPE
  return struct.pack(count == 1 and '<ddddddBc16BBdddd' or '<ddddddBc16B' .. string.rep('Bdddd', count),
    epoch, q, kq, cap, clock, open, frozen, chain, count, unpack(windows))
end

-- The place of a credit type's window; nil if the shard has none.
local function window_of(windows, credit_type)
  for w = 1, #windows, A_TYPE do
    if windows[w] == credit_type then
      return w
    end
  end
end
