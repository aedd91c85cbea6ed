-- RENEW: a stream is still alive. Line 'R': id c12, deadline I6. Only ever moves it forward.
local function renew(line)
  if #line ~= 19 then
    return 'BADLINE'
  end
  local id, deadline = sunpack('<c12I6', line, 2)
  local raw = hold_states[id]
  if not raw or read_mark(raw) then
    return 'NOHOLD'
  end
  local open = read_hold(raw, id)
  if not open then
    return 'CORRUPT'
  end
  if deadline > open.deadline then
    raw = sub(raw, 1, 42) .. spack('<I6', deadline) .. sub(raw, 49)
    hold_states[id] = raw
    put_hold(id, raw)
  end
  return 'RENEWED'
end
