-- What limits lent a hold, behind its fact in `h`, and what its ending gives back of that; see parts/limits.lua.
local LOAN_BYTES = 20
local IN_FLIGHT, OF_A_LOT = byte('FL', 1, 2)

-- Name the fields that the end of this hold touches; of a capture of all only what is in flight.
local function want_loans(raw, first, all_captured)
  if (#raw - first + 1) % LOAN_BYTES > 0 then
    return -- no hold
  end
  for at = first, #raw, LOAN_BYTES do
    local kind = byte(raw, at + 9)
    if kind ~= OF_A_LOT and (not all_captured or kind == IN_FLIGHT) then
      local whose, route = sunpack('<c1c4', raw, at)
      wanted_fields[tally_field(whose, route, sub(raw, 16, 22), sub(raw, 23, 29))] = true
    end
  end
end

-- A hold has ended. What was captured stays counted, what failed is given back, in flight is over.
local function give_loans_back(id, raw, loans, outcome, captured)
  local account_id, key_id, lasting, count = sub(raw, 16, 22), sub(raw, 23, 29), '', 0
  for at = loans, #raw, LOAN_BYTES do
    local whose, route, limit, kind, window, amount = sunpack('<c1c4c4c1I4I6', raw, at)
    local back = amount
    if outcome == 'c' and kind ~= 'F' then
      back = kind == 'C' and amount - captured or 0
    end
    if back > 0 and kind ~= 'L' then
      local field = tally_field(whose, route, account_id, key_id)
      local tally = tally_of(field)
      local place = tally and place_of(tally, limit)
      -- A corrupt tally keeps no credit from coming back.
      if place then
        local counted_in, value = sunpack('<I4d', tally, place + 5)
        if counted_in == window and whole(value) then
          tallies[field] = sub(tally, 1, place + 8) .. spack('<d', math.max(value - back, 0)) .. sub(tally, place + 17)
          counted[field] = true
        end
      end
      if kind ~= 'F' then
        lasting = lasting .. spack('<c1c4c4c1I4I6', whose, route, limit, kind, window, back)
        count = count + 1
      end
    end
  end
  if count > 0 then
    append('U', spack('<c12c7c7BB', id, account_id, key_id, 1, count) .. lasting)
  end
end
