--- A transport over cqueues' sockets, written as a program would: HTTP/1.1, a connection a
--- request. `socket_transport.new(loop)` gives the functions of a wrapper's option
--- `transport`; what they begin runs in the loop, a controller of cqueues.
local socket = require "cqueues.socket"

local socket_transport = {}

-- Without the library's own errors: nil, and the code of what went wrong.
local function connect(url)
  local host, port, path = url:match "^http://([^:/]+):(%d+)(.*)$"
  local connection = socket.connect { host = host, port = tonumber(port) }
  connection:setmode("bn", "bn")
  connection:onerror(function(_, _, why) return why end)
  if not connection:connect(10) then return nil, "connect" end
  return connection, path, host .. ":" .. port
end

local function send(connection, request, path, host)
  local lines = { ("%s %s HTTP/1.1"):format(request.method, path), "host: " .. host,
    "connection: close" }
  for name, value in pairs(request.headers) do lines[#lines + 1] = name .. ": " .. value end
  if request.body then lines[#lines + 1] = "content-length: " .. #request.body end
  return connection:write(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (request.body or ""))
    and connection:flush()
end

-- Status and fields; nil and a code.
local function read_head(connection)
  local status = connection:read "*l"
  if not status then return nil, "cut" end
  status = tonumber(status:match "^HTTP/1%.1 (%d%d%d)")
  if not status then return nil, "garbage" end
  local fields = {}
  while true do
    local line = connection:read "*l"
    if not line then return nil, "cut" end
    line = line:gsub("\r$", "")
    if line == "" then return status, fields end
    local name, value = line:match "^([^:]+):%s*(.-)%s*$"
    if name then fields[name:lower()] = value end
  end
end

-- Gives on `n` bytes (nil: what comes until the end); nil: they did not come.
local function pass(connection, exchange, n)
  while n ~= 0 do
    local piece = connection:read(-math.min(n or 4096, 4096))
    if not piece then return n == nil end
    if not exchange:data(piece) then return nil end
    n = n and n - #piece
  end
  return true
end

local function read_body(connection, exchange, fields)
  if fields["transfer-encoding"] ~= "chunked" then
    return pass(connection, exchange, tonumber(fields["content-length"]))
  end
  while true do
    local size = tonumber((connection:read "*l" or ""):match "^%x+", 16)
    if not size then return nil end
    if size == 0 then return true end
    if not pass(connection, exchange, size) or not connection:read "*l" then return nil end
  end
end

local function carry(request, exchange, open)
  local connection, path, host = connect(request.url)
  if not connection then return exchange:fail(nil, path) end
  if open[exchange] == false then return connection:close() end -- cancelled meanwhile
  open[exchange] = connection
  if not send(connection, request, path, host) then return exchange:fail() end
  local status, fields = read_head(connection)
  if not status then return exchange:fail(nil, fields) end
  exchange:headers(status, fields)
  if request.method == "HEAD" or read_body(connection, exchange, fields) then
    exchange:done()
  else
    exchange:fail()
  end
end

function socket_transport.new(loop)
  local open = {} -- connections by their exchanges; false: cancelled
  local made = { count = 0, cancelled = 0 }
  function made.start(request, exchange)
    made.count = made.count + 1
    loop:wrap(function()
      carry(request, exchange, open)
      local connection = open[exchange]
      open[exchange] = nil
      if connection then connection:close() end
    end)
  end
  function made.cancel(exchange)
    made.cancelled = made.cancelled + 1
    if open[exchange] then
      open[exchange]:shutdown "rw" -- whoever reads sees its end
    else
      open[exchange] = false
    end
  end
  return made
end

return socket_transport
