#!lua flags=allow-oom
--[[
Postgres has everything up to q: re-open the window, forget closed holds, trim the journal.
Absolute, so a repeat neither leaks nor doubles, and a lost one is made good by the next.

KEYS[1] m  KEYS[2] j:<epoch>  KEYS[3] b:<epoch>  KEYS[4] h:<epoch>
ARGV[1] head, see parts/guard.lua
ARGV[2] q, <d: last fact of a whole entry
ARGV[3] that entry's chain as Postgres has it
ARGV[4] ids of holds Postgres has closed, 12 bytes each
ARGV[5] how many acknowledged facts stay for re-posting, <d

Returns {word, q, answer}; answer: OK | FORK (the entry there is of another history)
  | OLD (no entry there: trimmed already)
]]
-- include meta
-- include guard
-- include windows
-- include whole
local ID_BYTES, MARKS_AT_ONCE, CLOSED_MARK = 12, 1000, 68 -- 'D', see parts/open_hold.lua
if #ARGV ~= 5 or #ARGV[2] ~= 8 or #ARGV[3] ~= 16 or #ARGV[4] % ID_BYTES ~= 0 or #ARGV[5] ~= 8 then
  return redis.error_reply('BADARG position, chain, ids, facts to keep')
end
local acknowledged, keep = sunpack('<d', ARGV[2]), sunpack('<d', ARGV[5])
if not whole(acknowledged) or not whole(keep) then
  return redis.error_reply('BADARG position and facts to keep are whole numbers')
end
local position = format('%.0f-%.0f', epoch, acknowledged)
local found = redis.call('XRANGE', KEYS[2], position, position)[1]
if not found then
  return { 'OK', q, 'OLD' }
end
local entry_chain, entry = found[2][1], found[2][2]
if entry_chain ~= ARGV[3] then
  return { 'OK', q, 'FORK' }
end

-- All is read before the first write; a mark is removed only if it is one, never an open hold.
local marks, marked = {}, 0
for first = 1, #ARGV[4], ID_BYTES * MARKS_AT_ONCE do
  local named = math.min((#ARGV[4] + 1 - first) / ID_BYTES, MARKS_AT_ONCE)
  local ids = { sunpack(string.rep('c12', named), ARGV[4], first) }
  local values = redis.call('HMGET', KEYS[4], unpack(ids, 1, named))
  for i = 1, named do
    local value = values[i]
    if value and byte(value) == CLOSED_MARK then
      marked = marked + 1
      marks[marked] = ids[i]
    end
  end
end
local _, _, _, count, at = sunpack('<dI4HB', entry, 17)
for _ = 1, count do
  local credit_type, _, returned, next_at = sunpack('<Bdd', entry, at)
  at = next_at
  local w = window_of(windows, credit_type)
  if w and returned > windows[w + 3] then
    windows[w + 3] = returned
  end
end
if acknowledged > posted_q then
  posted_q = acknowledged
end
redis.call('SET', KEYS[1], pack_meta(epoch, q, posted_q, journal_cap, now, open_holds, frozen, chain, windows))
for first = 1, marked, MARKS_AT_ONCE do
  redis.call('HDEL', KEYS[4], unpack(marks, first, math.min(first + MARKS_AT_ONCE - 1, marked)))
end
-- The entry named stays, so that a repeat finds it.
redis.call('XTRIM', KEYS[2], 'MINID', format('%.0f-%.0f', epoch, math.max(acknowledged - keep, 0)))
return { 'OK', q, 'OK' }
