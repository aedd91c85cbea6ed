-- What deals with every line that is not plain: made by the first such line, since every function, and every name that
-- it takes from around it, costs time. The body of a function, for what functions take from two around them costs less.
-- include whole
-- include account
-- include taking
-- include saying
-- include open_hold
-- include states

local stored = {} -- field -> bytes as they were read, or false where there is none
local made_limits, made_claims

local function limits()
  if made_limits then
    return made_limits
  end
-- include tallies
-- include loans
-- include caps
-- of holds
-- include limits
-- end of holds
  made_limits = {
    fields = wanted_fields, want_loans = want_loans, give_loans_back = give_loans_back, put = put_tallies,
    caps_of = caps_of, use_caps = use_caps,
-- of holds
    want = want_limits, asked_by = asked_by, kept_back = kept_back, allowance_for = allowance_for, capped = capped,
    use = use_limits, standing = standing,
-- end of holds
  }
  return made_limits
end

local function claims()
  if made_claims then
    return made_claims
  end
-- include claims
  made_claims = {
    want = want_claim, read = read_owners, of = claim_of, kept_by_owner = kept_by_owner, take = take_claim,
    put = put_claims,
  }
  return made_claims
end

-- include lots
-- include reach
-- of holds
-- include hold_extras
-- include hold
-- end of holds
-- include close_hold
-- include settle
-- include late
-- include renew
-- include observed

-- What these lines need besides is read at once, too: of limits and claims, of late accounts, of what holds were lent.
do
  local more = {}
  for i = 2, #lines do
    local line = lines[i]
    local kind = byte(line)
    if kind == LATE then
      more[#more + 1] = 'a' .. sub(line, 14, 20)
      if band(byte(line, 41) or 0, LATE_CLAIMING) ~= 0 then
        claims().want(line)
      end
-- of holds
    elseif (kind == HOLD or kind == CHECK) and #line > HOLD_BYTES then -- limits and claims stand behind that
      local scope = byte(line, 49)
      if scope >= LIMITED then
        limits().want(line)
      end
      if band(scope, CLAIMING) ~= 0 then
        claims().want(line)
      end
-- end of holds
    end
  end
  for k = 1, named do
    local raw, id = found[k], wanted_holds[k]
    if not held_types[k] and hold_states[id] == nil then
      hold_states[id] = raw
    end
    if not held_types[k] and raw and #raw >= 62 then
      local length, _, _, _, _, price = sunpack('<Hc12I8I6BI6', raw, 2)
      more[#more + 1] = 'a' .. sub(raw, 16, 22)
      if length + 4 <= #raw then
        limits().want_loans(raw, length + 4, captures[k] == price)
      end
    end
  end
  for i = first_more, wanted_count do
    stored[wanted[i]] = read[i]
  end
  if made_limits then
    for field in pairs(made_limits.fields) do
      more[#more + 1] = field
    end
  end
  local values = more[1] and redis.call('HMGET', KEYS[3], unpack(more))
  for i = 1, #more do
    stored[more[i]] = values[i]
  end
  if made_claims then
    made_claims.read()
  end
end

return {
-- of holds
  hold = hold,
-- end of holds
  settle = settle, late = late, renew = renew, observed = observed, pack_account = pack_account,
  put_tallies = function()
    if made_limits then
      made_limits.put()
    end
  end,
  put_claims = function()
    if made_claims then
      made_claims.put()
    end
  end,
}
