-- RENEW: a stream is still alive. Line 'R': id c12, deadline I6. Only ever moves it forward.
local function renew(line)
  if #line ~= 19 then
    return 'BADLINE'
  end
  local id, deadline = sunpack('<c12I6', line, 2)
  local raw = state_of(id)
  if not raw or read_mark(raw) then
    return 'NOHOLD'
  end
  if not read_hold(raw, id) then
    return 'CORRUPT'
  end
  if deadline > sunpack('<I6', raw, 43) then
    raw = sub(raw, 1, 42) .. spack('<I6', deadline) .. sub(raw, 49)
    hold_states[id] = raw
    put_hold(id, raw)
  end
  return 'RENEWED'
end
