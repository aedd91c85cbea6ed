-- What every call but FREEZE and OPEN passes before it reads anything else.
--   ARGV[1] head, <d d d I4: epoch, watermark (highest q the caller saw), caller's clock ms, session or 0
-- Leaves behind: meta (the state), now (ms, never goes back), session.
local MAX_SKEW_MS = 5000
if not ARGV[1] or #ARGV[1] ~= 28 then
  return redis.error_reply('BADARG the head must have 28 bytes')
end
local caller_epoch, watermark, caller_ms, session = sunpack('<dddI4', ARGV[1])
local meta = read_meta(redis.call('GET', KEYS[1]))
if not meta then
  return { 'NOMETA', 0 }
end
if meta.epoch ~= caller_epoch then
  return { 'STALE', meta.q }
end
if meta.frozen == 1 then
  return { 'FROZEN', meta.q }
end
if not (meta.q >= watermark) then
  return { 'REGRESS', meta.q }
end
local server_time = redis.call('TIME')
local now = server_time[1] * 1000 + floor(server_time[2] / 1000)
if now < meta.clock then
  now = meta.clock
end
if not (math.abs(now - caller_ms) <= MAX_SKEW_MS) then
  return { 'SKEW', meta.q }
end
