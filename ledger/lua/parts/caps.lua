-- What a key may spend, and has spent; see parts/limits.lua.

-- The caps of a key on this credit type; false where they cannot be read.
local function caps_of(key_id, credit_type)
  local caps, field = {}, tally_field('k', ALL_ROUTES, nil, key_id)
  local raw = tally_of(field)
  for at = 1, raw and #raw or 0, TALLY_BYTES do
    if byte(raw, at + 4) == A_CAP and byte(raw, at + 2) == credit_type then
      local id = 'C' .. sub(raw, at + 1, at + 3)
      local spent, most = used(raw, id), sunpack('<d', raw, at + 9)
      if not spent or not whole(most) then
        return false
      end
      caps[#caps + 1] = { field = field, id = id, spent = spent, most = most }
    end
  end
  if #caps > 1 then
    table.sort(caps, function(a, b)
      return a.id < b.id
    end)
  end
  return raw and caps
end

-- Count what is spent; returns the uses for a fact, and their number.
local function use_caps(caps, price)
  local uses = ''
  for i = 1, #caps do
    local cap = caps[i]
    put_use(cap.field, cap.id, 'C', cap.spent + price)
    uses = uses .. spack('<c1c4c4c1I4I6', 'k', ALL_ROUTES, cap.id, 'C', period_of(cap.id).number, price)
  end
  return uses, #caps
end
