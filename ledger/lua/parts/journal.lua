-- The journal: one entry per call. Everything is computed before the first write; XADD is
-- that first write, refuses a position that exists already, and what follows cannot fail.
local WRITES_AT_ONCE = 1000 -- arguments; far below what Lua's stack can unpack
local MAX_FACTS = 65535 -- what the two bytes of an entry's count can say
local facts = {}
local changed_accounts = {} -- account bytes -> account
local balances_written, holds_written = {}, {} -- field, value, field, value...
local meta_changed = false

local function append(kind, rest)
  facts[#facts + 1] = kind .. spack('<H', #rest) .. rest
end

-- A fact of an account: the caller puts the number into the fact.
local function next_aseq(id, account)
  account.aseq = account.aseq + 1
  changed_accounts[id] = account
  return account.aseq
end

local function put_balance(field, value)
  balances_written[#balances_written + 1] = field
  balances_written[#balances_written + 1] = value
end

local function put_hold(id, value)
  holds_written[#holds_written + 1] = id
  holds_written[#holds_written + 1] = value
end

-- Facts of their own for what is left in lots whose time has come, but for one lot if named.
local function expire_due(id, account, pool, spared)
  local lots = pool.lots
  for k = 1, #lots, 4 do
    local left = lots[k + 3]
    if left > 0 and lots[k + 2] <= now and lots[k] ~= spared then
      lots[k + 3] = 0
      append('E', spack('<c7BI5I6I5i8', id, pool.type, lots[k], left, next_aseq(id, account), balance_of(pool)))
    end
  end
end

local function write_slices(key, values)
  for first = 1, #values, WRITES_AT_ONCE do
    redis.call('HSET', key, unpack(values, first, math.min(first + WRITES_AT_ONCE - 1, #values)))
  end
end

-- Returns nil when all is written, else the reply to give instead: nothing was written.
local function commit()
  if #facts > MAX_FACTS then
    return redis.error_reply('BADARG more facts than one entry can count')
  end
  for id, account in pairs(changed_accounts) do
    put_balance('a' .. id, pack_account(account))
  end
  if #facts > 0 then
    local totals = {}
    for i = 1, #meta.windows do
      local window = meta.windows[i]
      totals[i] = spack('<Bdd', window.type, window.H, window.R)
    end
    local rest = meta.chain .. spack('<dI4HB', now, session, #facts, #totals)
      .. table.concat(totals) .. table.concat(facts)
    local before = meta.q
    meta.q = before + #facts
    meta.chain = sub(redis.sha1hex(rest), 1, 16)
    meta_changed = true
    local added = redis.pcall('XADD', KEYS[2], format('%.0f-%.0f', meta.epoch, meta.q), 'f', meta.chain .. rest)
    if type(added) == 'table' and added.err then
      if string.find(added.err, 'equal or smaller', 1, true) then
        -- The stream is ahead of the state: another history wrote these positions.
        return { 'REGRESS', before }
      end
      return added
    end
  end
  write_slices(KEYS[3], balances_written)
  write_slices(KEYS[4], holds_written)
  if meta_changed then
    meta.clock = now
    redis.call('SET', KEYS[1], pack_meta(meta))
  end
  return nil
end
