-- The journal: one entry per call. Everything is computed before the first write; XADD is
-- that first write, refuses a position that exists already, and what follows cannot fail.
-- Returns from the script where nothing was written.
local WRITES_AT_ONCE = 1000 -- arguments; far below what Lua's stack can unpack
local MAX_FACTS = 65535 -- what the two bytes of an entry's count can say
if fact_count > MAX_FACTS then
  return redis.error_reply('BADARG more facts than one entry can count')
end
for field, account in pairs(changed_accounts) do
  local count = #balances_written
  balances_written[count + 1], balances_written[count + 2] = field, pack_account(account)
end
if fact_count > 0 then
  local entry_head = meta.chain .. spack('<dI4HB', now, session, fact_count, #meta.windows)
  for i = 1, #meta.windows do
    local window = meta.windows[i]
    entry_head = entry_head .. spack('<Bdd', window.type, window.H, window.R)
  end
  -- All that is chained becomes one string at once: the longer a string, the more it costs to make.
  facts[0] = entry_head
  local rest = table.concat(facts, '', 0, #facts)
  local before = meta.q
  meta.q = before + fact_count
  meta.chain = sub(redis.sha1hex(rest), 1, 16)
  local added = redis.pcall('XADD', KEYS[2], format('%d-%d', meta.epoch, meta.q), 'f', meta.chain .. rest)
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) then
      -- The stream is ahead of the state: another history wrote these positions.
      return { 'REGRESS', before }
    end
    return added
  end
end
for first = 1, #balances_written, WRITES_AT_ONCE do
  local last = math.min(first + WRITES_AT_ONCE - 1, #balances_written)
  redis.call('HSET', KEYS[3], unpack(balances_written, first, last))
end
for first = 1, #holds_written, WRITES_AT_ONCE do
  redis.call('HSET', KEYS[4], unpack(holds_written, first, math.min(first + WRITES_AT_ONCE - 1, #holds_written)))
end
if fact_count > 0 then
  meta.clock = now
  redis.call('SET', KEYS[1], pack_meta(meta))
end
