-- The same requests through LuaSocket and through our own, to the same server.
local keycycle = require "keycycle"
local servers = require "tests.support.servers"
local raises = require "tests.support.raises"

local ours = keycycle.compat.socket_http
local theirs, ltn12 = require "socket.http", require "ltn12"

-- Says what reached it; a path may ask for more.
local ANSWERS = [[
local json = require "keycycle".json
return function(request)
  local said = json.encode { method = request.method, path = request.path, query = request.query,
    body = request.body, type = request.headers["content-type"] or "",
    auth = request.headers.authorization or "", client = request.headers["x-client"] or "",
    host = request.headers.host }
  local headers = { ["x-seen"] = "1", ["content-type"] = "text/plain" }
  local to, code = request.path:match "^/to/(.-)/(%d+)$"
  if to then
    headers.location = to:gsub("~", "/")
    return tonumber(code), headers, "moved"
  end
  local n = tonumber(request.path:match "^/hops/(%d+)$")
  if n and n > 0 then
    headers.location = "/hops/" .. n - 1
    return 302, headers, "moved"
  end
  code = request.path:match "^/code/(%d+)$"
  if request.path == "/pieces" then return 200, headers, { "one ", "two ", said } end
  if request.path == "/held" then return 200, headers, { "one ", false, "two" } end
  if request.path == "/big" then return 200, headers, (("x"):rep(1000000)) end
  if request.path == "/empty" then return 200, headers, "" end
  return tonumber(code or 200), headers, code and "" or said
end
]]

-- Answers a call of `echo` with what it was given; 1 waits until it is released.
local SOAP = [[
return function(request)
  local n = request.body:match "<n>(%d)</n>"
  local text = '<?xml version="1.0"?><soap:Envelope xmlns:soap='
    .. '"http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><echoResponse xmlns="urn:e"><n>' .. n
    .. "</n></echoResponse></soap:Body></soap:Envelope>"
  local held = { text:sub(1, 10), false, text:sub(11) }
  return 200, { ["content-type"] = "text/xml" }, n == "1" and held or text
end
]]

local SOAP_CLIENT = [[
local keycycle = require "keycycle"
package.loaded["socket.http"] = keycycle.compat.socket_http
local client = require "soap.client"
local asked, said, done = {}, {}, false
local function call(name, n)
  asked[#asked + 1] = name .. " asks"
  local _, _, result = client.call { url = arg[1], soapaction = "urn:e#echo", namespace = "urn:e",
    method = "echo", entries = { { tag = "n", n } } }
  said[#said + 1] = name .. " has " .. result[1][1]
end
keycycle.run(function()
  local function first()
    call("first", 1)
    done = true
  end
  local function second()
    call("second", 2)
    while not done do keycycle.http.request { url = arg[1] .. "/release" } end
  end
  keycycle.gather { first, second }
end)
table.sort(said)
print(table.concat(asked, ", ") .. "; " .. table.concat(said, ", "))
]]

describe("compat.socket_http beside LuaSocket", function()
  local server
  setup(function() server = servers.canned(ANSWERS) end)
  teardown(function() server.stop() end)

  -- What comes of connections, not of requests.
  local function comparable(headers)
    if type(headers) ~= "table" then return headers end
    local out = {}
    for name, value in pairs(headers) do out[name] = value end
    out.connection, out.date, out["keep-alive"] = nil, nil, nil
    return out
  end

  local function simple(http, ...)
    local body, code, headers, line = http.request(...)
    return { body = body, code = code, headers = comparable(headers), line = line }
  end

  local function general(http, given)
    local pieces, copy = {}, {}
    for name, value in pairs(given) do copy[name] = value end
    copy.url = given.url and (given.url:find "^/" and server.url .. given.url or given.url)
    copy.sink = given.sink and given.sink(pieces) or ltn12.sink.table(pieces)
    copy.source = given.source and given.source()
    local one, code, headers, line = http.request(copy)
    return { one = one, code = code, headers = comparable(headers), line = line,
      body = table.concat(pieces) }
  end

  local function text_source(text) return function() return ltn12.source.string(text) end end

  for name, case in pairs {
    ["a GET"] = { "/a?b=c&d" }, ["a POST"] = { "/a", "x=1&y=2" }, ["an empty POST"] = { "/a", "" },
    ["a 404"] = { "/code/404" }, ["a 500"] = { "/code/500" }, ["a 204"] = { "/code/204" },
    ["a 304"] = { "/code/304" }, ["an answer in chunks"] = { "/pieces" },
    ["a large answer"] = { "/big" }, ["an empty one"] = { "/empty" },
    ["a redirect"] = { "/to/~a/302" }, ["a relative one"] = { "/to/there/301" },
    ["a 303"] = { "/to/~a/303" }, ["a 307"] = { "/to/~a/307" }, ["a 308"] = { "/to/~a/308" },
    ["five redirects"] = { "/hops/5" }, ["six redirects"] = { "/hops/6" },
    ["a POST that is led on"] = { "/to/~a/302", "x=1" },
    ["a place that is none"] = { "/to/ftp:~~x~/302" },
    ["a location of dots"] = { "/to/..~.~b/302" },
    ["only a query"] = { "/to/?q=1/302" }, ["a fragment"] = { "/a#there" },
    ["two slashes"] = { "//a//b/../c" },
  } do
    it("serves " .. name .. " alike", function()
      local want = simple(theirs, server.url .. case[1], case[2])
      assert.same(want, simple(ours, server.url .. case[1], case[2]))
    end)
  end

  for name, given in pairs {
    ["a GET"] = { url = "/a" }, ["a HEAD"] = { url = "/a", method = "HEAD" },
    ["a HEAD that is led on"] = { url = "/to/~a/302", method = "HEAD" },
    ["a PUT"] = { url = "/a", method = "PUT", source = text_source "put",
      headers = { ["Content-Length"] = 3, ["Content-Type"] = "text/x" } },
    ["a DELETE"] = { url = "/a", method = "DELETE" },
    ["a source of unknown length"] = { url = "/a", method = "POST", source = text_source "abc" },
    ["a large source"] = { url = "/a", method = "POST", source = text_source(("z"):rep(300000)) },
    ["an empty source"] = { url = "/a", method = "POST", source = ltn12.source.empty },
    ["fields"] = { url = "/a", headers = { ["X-Client"] = "c", Authorization = "Bearer t" } },
    ["a user"] = { url = "http://me:pa%20ss@HOST/a" },
    ["a user alone"] = { url = "http://me@HOST/a" },
    ["no redirect"] = { url = "/to/~a/302", redirect = false },
    ["two redirects at most"] = { url = "/hops/4", maxredirects = 2 },
    ["as many redirects as there are"] = { url = "/hops/8", maxredirects = false },
    ["a sink that gives up"] = { url = "/big", sink = function()
      return function() return nil, "full" end
    end },
    ["a sink that gives up later"] = { url = "/big", sink = function()
      local n = 0
      return function(chunk)
        n = n + (chunk and #chunk or 0)
        if n < 100000 then return 1 end
        return nil, "full"
      end
    end },
    ["a sink that is content"] = { url = "/a", sink = function() return function() end end },
    ["a source that gives up"] = { url = "/a", method = "POST", source = function()
      return ltn12.source.error "no more"
    end },
    ["a step of its own"] = { url = "/a", method = "POST", source = text_source "abc",
      step = function(source, sink) return ltn12.pump.step(source, sink) end },
    ["no host"] = { url = "http:///a" }, ["no url"] = { url = "nonsense" },
    ["a host that is not there"] = { url = "http://no.such.host.invalid/" },
    ["a port where nobody is"] = { url = "http://127.0.0.1:1/" },
  } do
    it("serves " .. name .. " alike, in the general form", function()
      local host = server.url:match "//(.*)$"
      given.url = given.url:gsub("HOST", host)
      local want = general(theirs, given)
      assert.same(want, general(ours, given))
    end)
  end

  it("serves the parts of a URL alike", function()
    local host, port = server.url:match "//(.-):(%d+)"
    local given = { scheme = "http", host = host, port = tonumber(port), path = "/x",
      query = "y=1" }
    assert.same(general(theirs, given), general(ours, given))
  end)

  it("says of a cut answer what LuaSocket says", function()
    local raw = servers.raw()
    for _, fault in ipairs { "/cut-in-body", "/cut-before-headers", "/cut-in-chunk", "/gzip" } do
      local want = simple(theirs, raw.url(fault))
      local got = simple(ours, raw.url(fault))
      assert.same({ fault, want.code, want.body }, { fault, got.code, got.body })
    end
    raw.stop()
  end)

  it("ends a request that hangs after TIMEOUT", function()
    local raw = servers.raw()
    local before = { theirs.TIMEOUT, ours.TIMEOUT }
    theirs.TIMEOUT, ours.TIMEOUT = 0.01, 0.01
    local want, got = simple(theirs, raw.url "/never"), simple(ours, raw.url "/never")
    theirs.TIMEOUT, ours.TIMEOUT = before[1], before[2]
    raw.stop()
    assert.same({ nil, "timeout" }, { want.body, want.code })
    assert.same(want, got)
  end)

  it("yields in a task, and hands pieces on as they come", function()
    local seen = {}
    keycycle.run(function()
      local one = keycycle.spawn(function()
        return ours.request { url = server.url .. "/held", sink = function(chunk)
          seen[#seen + 1] = chunk
          if chunk == "one " then server.release() end
          return 1
        end }
      end)
      local other = keycycle.spawn(function()
        return (ours.request(server.url .. "/code/404"))
      end)
      assert.equal("", other:await())
      assert.equal(200, (select(2, one:await())))
    end)
    assert.same({ "one ", "two" }, seen)
  end)

  it("ends with its task", function()
    local seen
    keycycle.run(function()
      local function sink(chunk)
        seen = chunk
        return 1
      end
      local task = keycycle.spawn(ours.request, { url = server.url .. "/held", sink = sink })
      while not seen do keycycle.sleep(0.001) end
      task:cancel()
      raises(keycycle.CancelledError, nil, task.await, task)
    end)
    server.release()
  end)

  it("does not take `authorization` to another host", function()
    local other = servers.canned(ANSWERS:gsub('x%-client', "x-api-key"))
    local function key_at(place)
      local pieces = {}
      ours.request { url = server.url .. "/to/" .. place:gsub("/", "~") .. "/302",
        headers = { ["X-Api-Key"] = "k" }, sink = ltn12.sink.table(pieces) }
      return keycycle.json.decode(table.concat(pieces)).client
    end
    assert.equal("", key_at(other.url .. "/a"))
    local function client_at(place)
      local pieces = {}
      ours.request { url = server.url .. "/to/" .. place:gsub("/", "~") .. "/302",
        headers = { Authorization = "Bearer t", ["X-Client"] = "c" },
        sink = ltn12.sink.table(pieces) }
      local said = keycycle.json.decode(table.concat(pieces))
      return { said.auth, said.client }
    end
    assert.same({ "Bearer t", "c" }, client_at(server.url .. "/a"))
    assert.equal("", client_at(other.url .. "/a")[1])
    other.stop()
  end)

  it("serves a library that was written for socket.http, without blocking in tasks", function()
    local soap = servers.canned(SOAP)
    local out = servers.host(SOAP_CLIENT, soap.url,
      "LUA_PATH='/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua;./?.lua;;'")
    soap.stop()
    assert.equal("first asks, second asks; first has 1, second has 2\n", out)
  end)

  it("refuses what it does not serve", function()
    for _, name in ipairs { "create", "proxy", "certificate" } do
      raises(keycycle.KeycycleError, name, ours.request, { url = server.url, [name] = "x" })
    end
    ours.PROXY = "http://127.0.0.1:1"
    local ok, err = pcall(ours.request, server.url)
    ours.PROXY = nil
    assert.is_false(ok)
    assert.truthy(tostring(err):find("PROXY", 1, true))
    assert.has_error(function() ours.request(5) end)
    assert.is_nil(keycycle.compat.socket_smtp)
  end)
end)
