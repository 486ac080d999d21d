--- Scripts that change while calls are under way, and servers that send a key elsewhere.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEY = "own-aaaaaaaaaaaaaaaa-1"

-- The text of an event is in the field `field`; the key goes into the header `header`.
local function acme(field, header, path)
  return ([[
return keycycle.provider {
  name = "acme", base_url = "https://api.acme.test",
  auth = { header = "%s", value = "{api_key}" },
  routes = { say = { method = "POST", path = "%s", protocol = "chat", model = true } },
  charge = { requests_failed = true },
  protocols = { chat = {
    decode = function(body) return { usage = { total_tokens = body.used } } end,
    event = function(kind, data, state)
      state.n = (state.n or 0) + 1
      return { text = data.%s, done = data.last, usage = { total_tokens = state.n } }
    end,
  } },
}]]):format(header, path, field)
end

local ANSWERS = [[
  return function(request)
    if request.path == "/slow" then
      return 200, { ["content-type"] = "text/event-stream" }, {
        'data: {"a":"1","b":"x"}\n\n', false,
        'data: {"a":"2","b":"y"}\n\n', 'data: {"a":"3","b":"z","last":true}\n\n' }
    elseif request.path == "/hold" then
      return 200, {}, { '{"used":', false, '9}' }
    elseif request.path == "/fails" and request.n == 1 then
      return 500, {}, { '{"error":', false, '"x"}' }
    end
    return 200, {}, '{"used":4}'
  end]]

describe("scripts that are loaded again", function()
  local server, folder, remove, wrapper, client, manager

  local function start(text, more)
    server = servers.canned(ANSWERS)
    folder, remove = files.scripts { ["providers/acme.lua"] = text }
    for name, other in pairs(more or {}) do files.put(folder .. "/" .. name, other) end
    wrapper = keycycle.MultiClientWrapper.new { scripts = folder }
    wrapper:register_provider("acme", { keys = { KEY }, base_url = server.url })
    client, manager = wrapper:get_rotating_client "acme", wrapper:get_manager "acme"
  end

  local function change(name, text)
    if text then files.put(folder .. "/" .. name, text) else os.remove(folder .. "/" .. name) end
    keycycle.reload()
  end

  after_each(function()
    wrapper:stop()
    server.stop()
    remove()
    keycycle.reload()
  end)

  it("leave an open stream as it began", function()
    start(acme("a", "x-api-key", "/slow"))
    local stream <close> = client:say { model = "m", stream = true }
    assert.equal("1", stream().a)
    change("providers/acme.lua", acme("b", "authorization", "/fast"))
    server.release()
    assert.equal("23", stream:text())
    assert.equal(3, keycycle.info(stream).usage.total_tokens)
    client:say { model = "m" }
    local seen = server.journal()
    assert.same({ "/slow", "/fast" }, { seen[1].path, seen[2].path })
    assert.same({ KEY, KEY }, { seen[1].headers["x-api-key"], seen[2].headers.authorization })
    assert.is_nil(seen[2].headers["x-api-key"])
    local total = manager:get_global_stats().total
    assert.same({ 2, 7, 0 }, { total.total_requests, total.total_tokens, total.in_flight })
  end)

  it("leave a call under way and its counters, also where the file is gone", function()
    start(acme("a", "x-api-key", "/hold"))
    local call = keycycle.spawn(function() return client:say { model = "m" } end)
    while #server.journal() == 0 do keycycle.step(0.01) end
    assert.equal(1, manager:get_global_stats().total.in_flight)
    change "providers/acme.lua"
    assert.is_nil(provider.get "acme")
    server.release()
    assert.equal(9, keycycle.run(function() return call:await().used end))
    local total = manager:get_global_stats().total
    assert.same({ 1, 9, 0 }, { total.total_requests, total.total_tokens, total.in_flight })
  end)

  it("leave a call that is tried again as it began", function()
    start(acme("a", "x-api-key", "/fails"))
    local call = keycycle.spawn(function()
      return client:say({ model = "m" }, { policy = function() return "retry", 0 end })
    end)
    while #server.journal() == 0 do keycycle.step(0.01) end
    change("providers/acme.lua", acme("a", "authorization", "/fast"))
    server.release()
    assert.equal(4, keycycle.run(function() return call:await().used end))
    local seen = server.journal()[2]
    assert.same({ "/fails", KEY, nil }, { seen.path, seen.headers["x-api-key"],
      seen.headers.authorization })
  end)

  it("leave all in place where one is faulty, and say so", function()
    start(acme("a", "x-api-key", "/fast"),
      { ["limits/acme.lua"] = "return { default = { requests_per_minute = 5 } }" })
    client:say { model = "m" }
    files.put(folder .. "/providers/acme.lua", acme("b", "authorization", "/other"))
    local err = raises(keycycle.ScriptError, "limits/acme.lua:2", change, "limits/acme.lua",
      "return {\n  default = { requests_per_minit = 6 } }")
    assert.same({ folder .. "/limits/acme.lua", 2 }, { err.file, err.line })
    client:say { model = "m" }
    assert.same({ "/fast", 5, 2 }, { server.journal()[2].path,
      manager:explain("m")[1].limits.requests_per_minute, manager:get_global_stats().total.rpm })
    change("limits/acme.lua", "return { default = { requests_per_minute = 6 } }")
    client:say { model = "m" }
    assert.same({ "/other", 6, 3 }, { server.journal()[3].path,
      manager:explain("m")[1].limits.requests_per_minute, manager:get_global_stats().total.rpm })
  end)

  it("give the built-in ones back where they are gone", function()
    start(acme("a", "x-api-key", "/fast"), {
      ["providers/groq.lua"] = 'return keycycle.provider { name = "groq", extends = "groq",\n'
        .. 'headers = { ["x-client"] = "mine" } }',
      ["policies/default.lua"] = 'return keycycle.policy { name = "default",\n'
        .. 'decide = function() return "fail" end }',
      ["limits/groq.lua"] = "return { default = { requests_per_minute = 1 } }" })
    wrapper:register_provider("groq", { keys = { KEY }, base_url = server.url })
    local groq, own = wrapper:get_rotating_client "groq", wrapper:get_manager "groq"
    groq.chat.completions:create { model = "m", messages = {} }
    assert.equal(1, own:explain("m")[1].limits.requests_per_minute)
    change "providers/groq.lua"
    change "policies/default.lua"
    change "limits/groq.lua"
    assert.equal("rotate", (require "keycycle.policy".lookup("default").decide {
      kind = "quota", keys_ready = 1, attempt = 1, key_attempt = 1 }))
    assert.is_true((own:explain("m")[1].limits or {}).requests_per_minute ~= 1)
    groq.chat.completions:create { model = "m", messages = {} }
    local seen = server.journal()
    assert.same({ "mine", nil }, { seen[1].headers["x-client"], seen[2].headers["x-client"] })
    assert.equal(2, own:get_global_stats().total.rpm)
  end)
end)

describe("a server that sends a call elsewhere", function()
  local server, wrapper, client

  -- `server` redirects to itself, and to another; PORT stands for its own.
  local function start(to)
    server = servers.canned(([[
      return function(request)
        local status, port = request.path:match "/(%%d+)/away", request.headers.host:match "%%d+$"
        local to = ("%s"):gsub("PORT", port)
        if status then return tonumber(status), { location = to .. "/ok" }, "{}" end
        status = request.path:match "/(%%d+)/home"
        if status then return tonumber(status), { location = "/ok" }, "{}" end
        return 200, {}, '{"ok":true}'
      end]]):format(to))
    wrapper = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("acme", { keys = { KEY, "own-bbbbbbbbbbbbbbbb-2" },
      base_url = server.url })
    client = wrapper:get_rotating_client("acme", { max_retries = 1, timeout = 1,
      request_timeout = 5 })
  end

  local function stop()
    wrapper:stop()
    server.stop()
  end
  after_each(stop)

  it("does not get the key sent there", function()
    local thief = servers.canned "return function() return 200, {}, '{\"stolen\":true}' end"
    finally(thief.stop)
    start(thief.url)
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      for _, method in ipairs { "GET", "POST" } do
        local err = raises(keycycle.APIError, nil, client.request, client, {
          method = method, path = ("/%d/away"):format(status),
          json = method == "POST" and {} or nil })
        assert.equal(status, err.status)
        assert.is_nil(tostring(err):find(KEY, 1, true))
      end
    end
    assert.same(keycycle.json.array {}, thief.journal())
    assert.is_true(#server.journal() >= 10)
  end)

  it("does so neither by a name of the same machine, nor by another scheme", function()
    for _, to in ipairs { "http://localhost:PORT", "https://127.0.0.1:PORT", "//localhost:PORT",
      "http://me@127.0.0.1:PORT", "file:///etc/passwd" } do
      start(to)
      raises(keycycle.APIError, nil, client.request, client, { path = "/307/away" })
      for _, seen in ipairs(server.journal()) do assert.equal("/307/away", seen.path) end
      stop()
    end
    start "http://127.0.0.1:PORT"
    assert.is_true(client:request { path = "/307/away" }.ok)
  end)

  it("is followed at home, with the key", function()
    start "http://127.0.0.1:1"
    assert.is_true(client:request { path = "/302/home" }.ok)
    assert.is_true(client:request({ path = "/307/home", json = {} }).ok)
    for _, seen in ipairs(server.journal()) do
      assert.truthy(seen.headers.authorization:find("Bearer own-", 1, true))
    end
  end)
end)
