-- The journal: one entry per call. Everything is computed before the first write; XADD is
-- that first write, refuses a position that exists already, and what follows cannot fail.
-- Returns from the script where nothing was written.
local WRITES_AT_ONCE = 1000 -- arguments; far below what Lua's stack can unpack
local MAX_FACTS = 65535 -- what the two bytes of an entry's count can say
if fact_count > MAX_FACTS then
  return redis.error_reply('BADARG more facts than one entry can count')
end
if changed_accounts then
  for field, account in pairs(changed_accounts) do
    local count = #balances_written
    balances_written[count + 1], balances_written[count + 2] = field, pack_account(account)
  end
end
if fact_count > 0 then
  local entry_head
  if #windows == A_TYPE then
    entry_head = spack('<c16dI4HBBdd', chain, now, session, fact_count, 1, windows[1], windows[2], windows[3])
  else
    entry_head = spack('<c16dI4HB', chain, now, session, fact_count, #windows / A_TYPE)
    for w = 1, #windows, A_TYPE do
      entry_head = entry_head .. spack('<Bdd', windows[w], windows[w + 1], windows[w + 2])
    end
  end
  -- All that is chained becomes one string at once, and the chain stands before it as the field's name: each byte of a
  -- string that is made costs.
  facts[1] = entry_head
  local rest = table.concat(facts)
  chain = sub(redis.sha1hex(rest), 1, 16)
  local added = redis.pcall('XADD', KEYS[2], format('%d-%d', epoch, q + fact_count), chain, rest)
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) then
      -- The stream is ahead of the state: another history wrote these positions.
      return { 'REGRESS', q }
    end
    return added
  end
  q = q + fact_count
end
local count = #balances_written
for first = 1, count, WRITES_AT_ONCE do
  local last = first + WRITES_AT_ONCE - 1
  call('HSET', KEYS[3], unpack(balances_written, first, last < count and last or count))
end
count = #holds_written
for first = 1, count, WRITES_AT_ONCE do
  local last = first + WRITES_AT_ONCE - 1
  call('HSET', KEYS[4], unpack(holds_written, first, last < count and last or count))
end
if fact_count > 0 then
  call('SET', KEYS[1], pack_meta(epoch, q, posted_q, journal_cap, now, open_holds, frozen, chain, windows))
end
