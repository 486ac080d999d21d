--- LuaSocket's `socket.http` over this library's transport: it blocks outside of tasks and
--- yields in one. After
---
---   package.loaded["socket.http"] = keycycle.compat.socket_http
---
--- libraries that were written for `socket.http` do so, too.
---
--- `request` has both of LuaSocket's forms, its results and its errors. What differs:
--- connections are kept open; a request's source is read to its end before the request is
--- sent; `https` is served, and certificates are always checked; `authorization`, `cookie`
--- and what else may hold a key, by its name, do not follow a redirect to another host; a
--- relative one is followed over https, too; `create`, `proxy` and LuaSec's own certificates
--- are refused. The answer goes into the sink as it comes in.
local ascii = require "keycycle.ascii"
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local task = require "keycycle.task"
local url = require "keycycle.compat.url"

local socket_http = {
  --- Seconds that connecting may take, and silence while an answer is awaited or read.
  TIMEOUT = 60,
  --- The `user-agent` of requests that name none.
  USERAGENT = "keycycle " .. core.VERSION,
  --- The port where a URL names none, as LuaSocket's earlier versions have it.
  PORT = 80,
}

local ports = { http = function() return socket_http.PORT end, https = function() return 443 end }
local unserved = { "create", "proxy", "certificate", "key", "cafile", "capath" }
local FOREVER = 86400 -- seconds, where TIMEOUT is nil
local MOST_REDIRECTS = 5
local followed = { [301] = true, [302] = true, [303] = true, [307] = true }
local private = { "auth", "cookie", "key", "token", "secret" } -- in the names of fields
-- How LuaSocket says it.
local words = { timeout = "timeout", cut = "closed", connect = "connection refused",
  resolve = "host or service not provided, or not known" }

local function refuse_unserved(given)
  for _, name in ipairs(unserved) do
    if given[name] ~= nil then
      errors.raise(errors.KeycycleError, { code = "bad_request",
        message = ("socket_http does not serve the field %q of a request"):format(name) })
    end
  end
  if socket_http.PROXY ~= nil then
    errors.raise(errors.KeycycleError, { code = "bad_request",
      message = "socket_http does not serve PROXY" })
  end
end

-- Has a source flow into a sink, as ltn12.pump.all: true, or nil, err.
local function pump(source, sink, step)
  while true do
    local more, err
    if step then
      more, err = step(source, sink)
    else
      local chunk, source_err = source()
      local taken, sink_err = sink(chunk, source_err)
      more, err = chunk and taken, source_err or sink_err
    end
    if not more then
      if err then return nil, err end
      return true
    end
  end
end

-- The parts of a request: those of its URL, and what is said beside that wins.
local function parts_of(given)
  local parts = given.url and url.parse(given.url) or {}
  for _, name in ipairs { "scheme", "user", "password", "host", "port", "path" } do
    if given[name] ~= nil then parts[name] = given[name] end
  end
  if given.path and given.query then parts.path = given.path .. "?" .. given.query end
  parts.scheme, parts.path = parts.scheme or "http", parts.path or ""
  if parts.host == "" then parts.host = nil end
  if given.uri then parts.path = given.uri end
  if parts.path:sub(1, 1) ~= "/" then parts.path = "/" .. parts.path end
  if not ports[parts.scheme] then return nil, "unknown scheme '" .. parts.scheme .. "'" end
  if not parts.host then return nil, "invalid host 'nil'" end
  if parts.port == nil or parts.port == "" then parts.port = ports[parts.scheme]() end
  return parts
end

-- The fields to send, by lower-case names. Those of the length are set by the body.
local function headers_of(given, parts)
  local headers = { ["user-agent"] = socket_http.USERAGENT }
  if parts.user and parts.password then
    headers.authorization = "Basic "
      .. url.base64(parts.user .. ":" .. url.unescape(parts.password))
  end
  for name, value in pairs(given.headers or {}) do
    headers[ascii.lower(name)] = ascii.text(value)
  end
  if headers["content-length"] or not given.source then headers["transfer-encoding"] = nil end
  if given.source and not headers["content-length"] then
    headers["transfer-encoding"] = "chunked"
  end
  headers["content-length"], headers.connection, headers.te = nil, nil, nil
  return headers
end

local function read_source(given)
  if not given.source then return nil end
  local pieces = {}
  local ok, err = pump(given.source, function(chunk)
    if chunk then pieces[#pieces + 1] = chunk end
    return 1
  end, given.step)
  if not ok then return nil, err end
  return table.concat(pieces)
end

local function words_of(err)
  return words[err.code] or err.message or err.code
end

-- Sends it: the call, whose headers are here; or nil and why.
local function send(given, parts, body)
  local list = {}
  for name, value in pairs(headers_of(given, parts)) do list[#list + 1] = { name, value } end
  local timeout = socket_http.TIMEOUT or FOREVER
  local host = parts.host:find(":", 1, true) and parts.host:sub(1, 1) ~= "["
    and "[" .. parts.host .. "]" or parts.host
  local call, err = core.call {
    method = given.method or "GET", raw = true, headers = list, body = body,
    url = ("%s://%s:%s%s"):format(parts.scheme, host, parts.port, parts.path),
    connect_timeout = timeout, idle_timeout = timeout,
  }
  if not call then return nil, words_of(err) end
  return call
end

-- The body as a source: what is here, else it waits for more.
local function source_of(call)
  return function()
    task.wait(call)
    local piece = call:piece()
    if piece then return piece end
    local err = call:error()
    if err then return nil, words_of(err) end
    return nil
  end
end

local function has_body(method, code)
  return method ~= "HEAD" and code ~= 204 and code ~= 304 and code >= 200
end

-- The URL that an answer leads on to; nil: it is the last one.
local function target_of(given, parts, code, headers)
  local location = (headers.location or ""):gsub("%s", "")
  local method, most = given.method or "GET", given.maxredirects
  if location == "" or not followed[code] or given.redirect == false or given.source
    or method ~= "GET" and method ~= "HEAD" then
    return nil
  end
  if most ~= false and (given.nredirects or 0) >= (most or MOST_REDIRECTS) then return nil end
  local base = given.url or ("%s://%s:%s%s"):format(parts.scheme, parts.host, parts.port,
    parts.path)
  local target = url.absolute(base, location)
  local scheme = target:match "^(%a[%w+.-]*):"
  scheme = scheme and ascii.lower(scheme)
  if not ports[scheme] or parts.scheme == "https" and scheme ~= "https" then return nil end
  return target
end

local function is_private(name)
  name = ascii.lower(name)
  for _, word in ipairs(private) do
    if name:find(word, 1, true) then return true end
  end
  return false
end

-- The fields that go along to the next place.
local function headers_for(given, parts, target)
  local other, kept = url.parse(target) or {}, {}
  local port = other.port ~= "" and other.port or ports[other.scheme]()
  local same = other.scheme == parts.scheme and other.host == parts.host
    and tostring(port) == tostring(parts.port)
  for name, value in pairs(given.headers or {}) do
    if same or not is_private(name) then kept[name] = value end
  end
  return kept
end

local request_once

local function follow(given, parts, target, location)
  local result, code, headers, line = request_once { url = target, sink = given.sink,
    headers = headers_for(given, parts, target), maxredirects = given.maxredirects,
    nredirects = (given.nredirects or 0) + 1 }
  -- As a hint that this is not the first answer.
  if headers then headers.location = headers.location or location end
  return result, code, headers, line
end

local function none() return 1 end

function request_once(given)
  local parts, err = parts_of(given)
  if not parts then return nil, err end
  local body
  body, err = read_source(given)
  if err then return nil, err end
  local call <close>, why = send(given, parts, body)
  if not call then return nil, why end
  task.wait(call)
  local code, failed = call:status(), call:error()
  if not code then return nil, failed and words_of(failed) or "closed" end
  local headers, line = call:headers(), call:status_line()
  local target = target_of(given, parts, code, headers)
  if target then
    call:close()
    return follow(given, parts, target, headers.location)
  end
  if failed and not has_body(given.method, code) then return nil, words_of(failed) end
  if has_body(given.method, code) then
    local ok
    ok, err = pump(source_of(call), given.sink or none, given.step)
    if not ok then return nil, err end
  end
  return 1, code, headers, line
end

local function request_simply(address, body)
  local pieces = {}
  local given = { url = address, sink = function(chunk)
    if chunk then pieces[#pieces + 1] = chunk end
    return 1
  end }
  if body then
    local left = body
    given.source = function()
      local piece = left
      left = nil
      return piece
    end
    given.method = "POST"
    given.headers = { ["content-length"] = #body,
      ["content-type"] = "application/x-www-form-urlencoded" }
  end
  local result, code, headers, line = request_once(given)
  if not result then return nil, code end
  return table.concat(pieces), code, headers, line
end

--- `request(url [, body])`: the answer's body, code, headers and status line.
--- `request { url =, sink =, method =, headers =, source =, step =, redirect =,
--- maxredirects = }`: 1 instead of the body, which goes into the sink. In both: nil and a
--- message where there is no answer, a source or a sink gave up.
---@param given string|table
---@param body? string
function socket_http.request(given, body)
  if type(given) == "string" then
    refuse_unserved {}
    return request_simply(given, body)
  end
  if type(given) ~= "table" then
    error("request needs a url or a table, not a " .. type(given), 2)
  end
  refuse_unserved(given)
  return request_once(given)
end

return socket_http
