-- What every call but FREEZE and OPEN passes before it reads anything else.
--   ARGV[1] head, <d d d I4: epoch, watermark (highest q the caller saw), caller's clock ms, session or 0
-- Leaves behind: the state, see parts/meta.lua (`kq` is posted_q, `J` journal_cap); now (ms, never goes back), session.
local MAX_SKEW_MS = 5000
if not ARGV[1] or #ARGV[1] ~= 28 then
  return redis.error_reply('BADARG the head must have 28 bytes')
end
local caller_epoch, watermark, caller_ms, session = sunpack('<dddI4', ARGV[1])
local epoch, q, posted_q, journal_cap, clock, open_holds, frozen, chain, windows = read_meta(call('GET', KEYS[1]))
if not epoch then
  return { 'NOMETA', 0 }
end
if epoch ~= caller_epoch then
  return { 'STALE', q }
end
if frozen == 1 then
  return { 'FROZEN', q }
end
if not (q >= watermark) then
  return { 'REGRESS', q }
end
local server_time = call('TIME')
local now = server_time[1] * 1000 + floor(server_time[2] / 1000)
if now < clock then
  now = clock
end
if not (now - caller_ms <= MAX_SKEW_MS and caller_ms - now <= MAX_SKEW_MS) then
  return { 'SKEW', q }
end
