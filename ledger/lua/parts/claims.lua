-- Claims: which hold an account's Idempotency-Key belongs to. Who asks for one has bit 16 in the
-- scope of a hold, or bit 64 in the reason of a late capture, its key as the next of KEYS[5..], and in the
-- line, right before the detail,
--   <c16 c16 c12 B  the key's hash, the request's fingerprint, the hold that has the key in Postgres, how it
--                   stands there: 0 there is none, 1 open, 2 given back, 3 captured
-- The key i:<epoch>:<account>:<hash> is a string that ends after a day:
--   <c16 c16 c12 B  hash, fingerprint, owner, 1 where the owner was booked late
-- How an owner stands is not written down twice: `h` has it, and once Postgres has its ending, Postgres.
-- So an ending frees or keeps the key by itself, in the very step that ends the hold.
-- Each claim is a fact 'I': hold c12, account c7, hash c16, fingerprint c16.
local CLAIM_BYTES, CLAIM_LIFE_MS = 45, 86400000
local OPEN_THERE, GIVEN_BACK, CAPTURED = 1, 2, 3
local claim_keys, keys_named = {}, 4 -- line -> name of its key
local owners = {} -- name -> owner as of this call, false where there is none
local claimed = {} -- names whose owner has changed

local function want_claim(line)
  keys_named = keys_named + 1
  claim_keys[line] = KEYS[keys_named]
end

local function read_owners()
  if not KEYS[5] then
    return
  end
  local names = {}
  for n = 5, #KEYS do
    names[n - 4] = KEYS[n]
  end
  local found = redis.call('MGET', unpack(names))
  for n = 1, #names do
    local raw, owner = found[n], false
    if raw then
      owner = { corrupt = #raw ~= CLAIM_BYTES }
      if not owner.corrupt then
        owner.hash, owner.fingerprint, owner.id, owner.late = sunpack('<c16c16c12B', raw)
      end
    end
    owners[names[n]] = owner
  end
end

-- What a line claims; nil if its bytes are none, or no key came with it.
local function claim_of(line, at)
  local name = claim_keys[line]
  if not name or #line < at + CLAIM_BYTES - 1 then
    return nil
  end
  local claim = { name = name }
  claim.hash, claim.fingerprint, claim.known, claim.there, claim.ends = sunpack('<c16c16c12B', line, at)
  if claim.there <= CAPTURED then
    return claim
  end
end

local function told_of(word, id)
  return word .. ' ' .. string.gsub(id, '.', function(char)
    return format('%02x', byte(char))
  end)
end

-- What to answer because another hold has the key; nil if none has: RUNNING, DONE or MISMATCH and the
-- owner's id, or ASK where Postgres knows more by now than the line says.
local function kept_by_owner(claim, id)
  local owner = owners[claim.name]
  local known = claim.there > 0 and claim.known
  if owner and (owner.corrupt or owner.hash ~= claim.hash) then
    return 'CORRUPT'
  end
  local owner_id = owner and owner.id or known
  if not owner_id or owner_id == id then
    return nil
  end
  local word
  if owner and owner.late == 1 or owner_id == known and claim.there == CAPTURED then
    word = 'DONE'
  else
    local raw = state_of(owner_id)
    local outcome = raw and read_mark(raw)
    if raw and not outcome then
      word = 'RUNNING'
    elseif outcome == 'c' or outcome == 'l' then
      word = 'DONE'
    elseif outcome or owner_id == known and claim.there == GIVEN_BACK then
      return nil
    else
      return told_of('ASK', owner_id)
    end
  end
  if owner and owner.fingerprint ~= claim.fingerprint then
    word = 'MISMATCH'
  end
  return told_of(word, owner_id)
end

local function take_claim(claim, id, account_id, late)
  owners[claim.name] = { hash = claim.hash, fingerprint = claim.fingerprint, id = id, late = late }
  claimed[claim.name] = true
  append('I', id .. account_id .. claim.hash .. claim.fingerprint)
end

local function put_claims()
  for name in pairs(claimed) do
    local owner = owners[name]
    redis.call('SET', name, spack('<c16c16c12B', owner.hash, owner.fingerprint, owner.id, owner.late), 'PX', CLAIM_LIFE_MS)
  end
end
