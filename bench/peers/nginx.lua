-- Key, hold, proxy, settle: settlements are gathered per worker and sent together.
local redis = require "nginx.redis"
local socket, hold_sha, settle_sha = BENCH_SOCKET, BENCH_HOLD, BENCH_SETTLE
local M = { waiting = {}, n = 0, armed = false }
local serial, prefix = 0, ngx.worker.pid() .. "-" .. ngx.now() .. "-"

local function connect()
  local client = redis:new()
  client:set_timeout(1000)
  local ok, err = client:connect("unix:" .. socket)
  if not ok then return nil, err end
  return client
end

local function flush()
  M.armed = false
  local lines, n = M.waiting, M.n
  if n == 0 then return end
  M.waiting, M.n = {}, 0
  local client = connect()
  if not client then return end
  client:evalsha(settle_sha, 3, "{b}balances", "{b}holds", "{b}journal", unpack(lines, 1, n))
  client:set_keepalive(60000, 64)
end

-- Price: what this request may cost, captured whole if the backend answers well.
function M.hold(price)
  local key = ngx.var.http_x_api_key
  if not key then return ngx.exit(401) end
  local client, err = connect()
  if not client then
    ngx.log(ngx.ERR, err)
    return ngx.exit(503)
  end
  serial = serial + 1
  local id = prefix .. serial
  local answer, failed = client:evalsha(hold_sha, 4, "{b}keys", "{b}balances", "{b}holds", "{b}journal",
    ngx.md5_bin(key), id, tostring(price))
  client:set_keepalive(60000, 64)
  if not answer then
    ngx.log(ngx.ERR, failed)
    return ngx.exit(503)
  end
  if answer[1] ~= "HELD" then return ngx.exit(answer[1] == "NOKEY" and 401 or 402) end
  ngx.ctx.hold, ngx.ctx.price = id, price
end

-- 1, and 1 for each 100 begun of the body's limit. A pattern finds it: cheaper than parsing.
function M.hold_by_body()
  ngx.req.read_body()
  local limit = string.match(ngx.req.get_body_data() or "", '"limit"%s*:%s*(%d+)')
  if not limit then return ngx.exit(400) end
  return M.hold(1 + math.ceil(tonumber(limit) / 100))
end

function M.settle()
  local id = ngx.ctx.hold
  if not id then return end
  local n = M.n
  M.waiting[n + 1] = id
  M.waiting[n + 2] = (ngx.status < 300) and tostring(ngx.ctx.price) or "0"
  M.n = n + 2
  if not M.armed then
    M.armed = true
    ngx.timer.at(0.005, flush)
  elseif M.n >= 128 then
    M.armed = true
    ngx.timer.at(0, flush)
  end
end

return M
