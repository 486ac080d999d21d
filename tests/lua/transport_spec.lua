--- A program's own transport, with functions that a test answers itself.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local KEY, OTHER = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"
local JSON = { ["Content-Type"] = "application/json" }
local EVENTS = { ["content-type"] = "text/event-stream" }
local ANSWER = [[{"choices":[{"message":{"content":"Yes"}}],"usage":{"total_tokens":7}}]]

local wrapper, client, manager, begun, told

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = "hi" } } }
end

local function ask(opts) return client.chat.completions:create(request(), opts) end

local function answer(x, body)
  x:headers(200, JSON)
  x:data(body or ANSWER)
  x:done()
end

-- A wrapper whose requests are `start`'s; what it gets is in `begun`, what is cancelled
-- and paused in `told`.
local function provide(start, config, fields)
  begun, told = {}, {}
  local carried = {
    start = function(r, x)
      begun[#begun + 1] = { request = r, exchange = x }
      return start(r, x, #begun)
    end,
    cancel = function(x) told[#told + 1] = { "cancel", x } end,
    pause = function(x, on) told[#told + 1] = { on and "pause" or "go on", x } end,
  }
  for k, v in pairs(fields or {}) do carried[k] = v or nil end
  wrapper = keycycle.MultiClientWrapper.new { transport = carried }
  local all = { base_url = "https://api.example.test/v1", keys = { KEY }, default_model = "m" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider("p", all)
  client, manager = wrapper:get_rotating_client("p", { max_retries = 0 }), wrapper:get_manager "p"
end

local function total() return manager:get_global_stats().total end

local function nothing() end

after_each(function()
  if wrapper then wrapper:stop() end
  wrapper = nil
end)

describe("the option transport", function()
  it("refuses what it is not", function()
    for word, given in pairs { ["a table"] = "x", ["have a function start"] = {},
      ["start must be a function"] = { start = 5 },
      ["no field \"strat\" (known: cancel, pause, start)"] = { strat = nothing },
      ["cancel must be a function"] = { start = nothing, cancel = true },
      ["pause must be a function"] = { start = nothing, pause = {} } } do
      raises(Invalid, word, keycycle.MultiClientWrapper.new, { transport = given })
      raises(Invalid, word, keycycle.MultiProviderWrapper.new, { provider = "p", keys = { KEY },
        base_url = "https://api.example.test/v1", transport = given })
    end
  end)

  it("shows the whole request, with its key", function()
    provide(function(_, x) answer(x) end, { headers = { ["X-Own"] = "1" } })
    assert.equal("Yes", ask({ deadline = 50 }).choices[1].message.content)
    local r = begun[1].request
    assert.same({ "POST", "https://api.example.test/v1/chat/completions", false, 10.0 },
      { r.method, r.url, r.stream, r.connect_timeout })
    assert.is_true(r.timeout > 40 and r.timeout <= 50)
    assert.same({ authorization = "Bearer " .. KEY, ["x-own"] = "1", accept = "application/json",
      ["content-type"] = "application/json", ["accept-encoding"] = "identity",
      ["user-agent"] = "keycycle " .. keycycle._VERSION }, (function()
      r.headers["user-agent"] = r.headers["user-agent"]:gsub("/.*", " " .. keycycle._VERSION)
      return r.headers
    end)())
    assert.equal("hi", keycycle.json.decode(r.body).messages[1].content)
    assert.same({ 0, 1, 7 }, { total().in_flight, total().total_requests, total().total_tokens })
    assert.same({}, told)
  end)

  it("carries all calls of its wrapper, and no others", function()
    provide(function(r, x)
      if r.method == "HEAD" then
        x:headers(204)
        x:done()
      else
        answer(x)
      end
    end)
    wrapper:preconnect "p"
    assert.equal("HEAD", begun[1].request.method)
    assert.is_nil(begun[1].request.headers.authorization)
    assert.equal("Yes", wrapper:get_model("p"):invoke("hi").content)
    assert.equal("Yes", wrapper:fallback({ "p/m" }):invoke("hi").content)
    assert.equal("Yes", keycycle.Agent { model = wrapper:get_model "p" }:run("hi").content)
    assert.equal(4, #begun)
    local one <close> = keycycle.MultiProviderWrapper.new { provider = "q", keys = { KEY },
      base_url = "https://q.example.test/v1", transport = { start = function(_, x) answer(x) end } }
    local q = one:get_openai_client()
    assert.equal(7, q.chat.completions:create({ model = "m", messages = {} }).usage.total_tokens)
    local err = raises(keycycle.TransportError, nil, keycycle.http.request,
      { url = "http://127.0.0.1:1/" })
    assert.equal("connect", err.code) -- by libcurl
    assert.equal(4, #begun)
  end)

  it("is given no key for another host, nor over plain http", function()
    provide(nothing, { base_url = "http://127.0.0.1/v1" })
    raises(Invalid, "plain http", client.request, client,
      { method = "GET", path = "/x", json = nil }, { base_url = "http://api.example.test/v1" })
    assert.equal(0, #begun)
  end)

  it("follows no redirect", function()
    provide(function(_, x)
      x:headers(307, { location = "https://api.example.test/v2" })
      x:done()
    end)
    assert.equal(307, raises(keycycle.APIError, nil, ask).status)
    assert.equal(1, #begun)
  end)
end)

describe("a start that fails", function()
  local function fails(start, word)
    provide(start)
    local err = raises(keycycle.TransportError, word, ask)
    assert.equal("connect", err.code)
    assert.same({ 0, 0 }, { total().in_flight, total().total_requests }) -- given back
    assert.same({}, told)
    wrapper:stop()
  end

  it("is a failure to connect, and nothing was sent", function()
    fails(function() error "no network" end, "no network")
    fails(function() error { code = 5 } end, "transport.start failed: table")
    fails(function() return nil, "no route" end, "transport.start failed: no route")
    fails(function() return false end, "it returned false")
    fails(function() coroutine.yield() end, "attempt to yield")
    fails(function(_, x) x:fail("no cable", "connect") end, "no cable")
  end)

  it("is tried again as any other", function()
    provide(function(_, x, n)
      if n == 1 then return nil, "busy" end
      answer(x)
    end, { keys = { KEY, OTHER } })
    local response = ask { max_retries = 1 }
    assert.equal(2, #keycycle.info(response).attempts)
    assert.equal(1, total().total_requests)
  end)

  it("has its words, whatever it raises", function()
    local unsayable = setmetatable({}, { __tostring = function() error "no" end })
    fails(function() error(unsayable) end, "transport.start failed: an error without words")
    fails(function() return nil, unsayable end, "transport.start failed: an error without words")
    fails(function() error() end, "transport.start failed: nil")
  end)

  it("shows no key", function()
    provide(function(r) error(r.headers.authorization .. " " .. r.url) end)
    local err = raises(keycycle.TransportError, "Bearer ***", ask)
    assert.is_nil(tostring(err):find("0123456789", 1, true))
    provide(function(r, x) x:fail("while " .. r.headers.authorization) end)
    raises(keycycle.TransportError, "while Bearer ***", ask)
  end)
end)

describe("an answer of the program's", function()
  it("may come later, in pieces, from another task", function()
    provide(nothing)
    local response = keycycle.run(function()
      keycycle.spawn(function()
        while not begun[1] do keycycle.sleep(0) end
        local x = begun[1].exchange
        assert.is_true(x:headers(200, JSON))
        for piece in ANSWER:gmatch "." do
          assert.is_true(x:data(piece))
          if piece == "," then keycycle.sleep(0) end
        end
        x:done()
      end)
      return ask()
    end)
    assert.equal(7, response.usage.total_tokens)
  end)

  it("fails for the reason that is given", function()
    for code, class in pairs { cut = "TransportError", garbage = "TransportError",
      timeout = "TimeoutError", too_large = "TransportError", tls = "TransportError" } do
      provide(function(_, x) x:fail("so it is", code) end)
      assert.equal(code, raises(keycycle[class], "so it is", ask).code)
      assert.equal(code == "tls" and 0 or 1, total().total_requests)
      wrapper:stop()
    end
    provide(function(_, x) x:done() end)
    assert.equal("cut", raises(keycycle.TransportError, "without an answer", ask).code)
  end)

  it("refuses what comes out of order, at the place where it is wrong", function()
    local words = {}
    provide(function(_, x)
      for i, fn in ipairs { function() x:data "x" end, function() x:headers(100) end,
        function() x:headers "no" end, function() x:headers(200, 5) end,
        function() x:headers(200, { [1] = "x" }) end, function() x:headers(200, { a = {} }) end,
        function() x:data() end, function() x:fail("x", "odd") end, function() x:fail {} end,
        function() x:headers(200, JSON) x:headers(200, JSON) end } do
        words[i] = select(2, pcall(fn))
      end
      x:data(ANSWER)
      x:done()
    end)
    assert.equal(7, ask().usage.total_tokens)
    for i, word in ipairs { "headers come before data", "200 to 599", "number expected",
      "table expected", "both texts", "both texts", "string expected", "invalid option 'odd'",
      "string expected", "given already" } do
      assert.truthy(tostring(words[i]):find(word, 1, true), tostring(words[i]))
    end
  end)

  it("takes numbers for values, and drops fields that are none", function()
    provide(function(_, x)
      x:headers(200, { ["content-type"] = "application/json", ["x-count"] = 5, ["x y"] = "1",
        ["x-nul"] = "a\0b", ["x-name\0"] = "1", ["x-line"] = "a\r\nb: c", ["x-é"] = "1" })
      x:data(ANSWER)
      x:done()
    end)
    local headers = keycycle.info(ask()).headers
    assert.same({ ["content-type"] = "application/json", ["x-count"] = "5" }, headers)
  end)

  it("is ignored once it has ended", function()
    provide(function(_, x)
      answer(x)
      assert.is_false(x:data "more")
      assert.is_false(x:headers(200))
      x:fail "late"
      x:done()
    end)
    assert.equal("Yes", ask().choices[1].message.content)
    local x = begun[1].exchange
    wrapper:stop()
    assert.is_false(x:data "more")
    x:done()
    assert.same({}, told)
  end)

  it("is cut where the program lets go of the exchange", function()
    provide(function(_, _, n) begun[n].exchange = nil end, nil, { cancel = false })
    local err = raises(keycycle.TransportError, "let go of the exchange", keycycle.run, function()
      keycycle.spawn(function()
        while not begun[1] do keycycle.sleep(0) end
        collectgarbage()
        collectgarbage()
      end)
      return ask()
    end)
    assert.equal("cut", err.code)
    assert.equal(1, total().total_requests) -- it may have been sent
  end)
end)

describe("a call that ends early", function()
  -- `n` functions of the transport were called, the last one for the exchange.
  local function is_told(what, n)
    assert.equal(n or 1, #told)
    assert.equal(what, told[#told][1])
    assert.equal(begun[#begun].exchange, told[#told][2])
  end

  it("cancels the request of a task that is cancelled, once", function()
    provide(nothing)
    local task = keycycle.spawn(ask)
    keycycle.step(0)
    assert.equal(1, #begun)
    task:cancel()
    keycycle.step(0)
    is_told "cancel"
    assert.is_false(begun[1].exchange:headers(200, JSON))
    begun[1].exchange:done()
    keycycle.step(0)
    is_told "cancel"
    assert.same({ 0, 1 }, { total().in_flight, total().total_requests })
  end)

  it("cancels what takes too long", function()
    provide(nothing)
    raises(keycycle.TimeoutError, nil, ask, { request_timeout = 0.01 })
    is_told "cancel"
    raises(keycycle.TimeoutError, "whole answer", ask, { deadline = 0.01 })
    is_told("cancel", 2)
    raises(keycycle.TimeoutError, "before the first event", function()
      client.chat.completions:create(request(true), { request_timeout = 0.01 })
    end)
    is_told("cancel", 3)
    assert.equal(3, total().total_requests)
  end)

  it("cancels a stream that is silent, or is left", function()
    local chunk = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    provide(function(_, x)
      x:headers(200, EVENTS)
      x:data(chunk)
    end)
    local stream = client.chat.completions:create(request(true), { idle_timeout = 0.01 })
    assert.equal("x", stream().choices[1].delta.content)
    raises(keycycle.TimeoutError, "idle_timeout", stream)
    is_told "cancel"
    do
      local early <close> = client.chat.completions:create(request(true))
      early()
    end
    is_told("cancel", 2)
    local left <const> = client.chat.completions:create(request(true))
    wrapper:stop()
    is_told("cancel", 3)
    left() -- what was read ahead
    raises(keycycle.KeycycleError, "stopped", left)
  end)

  it("cancels what is too large", function()
    provide(function(_, x)
      x:headers(200, EVENTS)
      local piece = ("x"):rep(1 << 20)
      repeat until not x:data(piece)
    end)
    local err = raises(keycycle.TransportError, nil, function()
      client.chat.completions:create(request(true))
    end)
    assert.equal("too_large", err.code)
    is_told "cancel"
    begun[1].exchange:done()
  end)

  it("needs no cancel", function()
    provide(nothing, nil, { cancel = false, pause = false })
    raises(keycycle.TimeoutError, nil, ask, { request_timeout = 0.01 })
    begun[1].exchange:done()
  end)

  it("is told by the log what is wrong with cancel", function()
    local said = {}
    keycycle.log.set_sink(function(_, line) said[#said + 1] = line end)
    provide(nothing, nil, { cancel = function() error("with " .. KEY) end })
    raises(keycycle.TimeoutError, nil, ask, { request_timeout = 0.01 })
    provide(nothing, nil, { cancel = function() coroutine.yield() end })
    local task = keycycle.spawn(ask)
    keycycle.step(0)
    task:cancel()
    keycycle.step(0)
    provide(nothing, nil, { cancel = function()
      error(setmetatable({}, { __tostring = function() error "no" end }))
    end })
    raises(keycycle.TimeoutError, nil, ask, { request_timeout = 0.01 })
    keycycle.log.set_sink(nil)
    assert.equal(3, #said)
    assert.truthy(said[1]:find("transport.cancel failed: .*with %*%*%*"), said[1])
    assert.truthy(said[2]:find("transport.cancel failed: .*yield"), said[2])
    assert.equal("transport.cancel failed: an error without words", said[3])
  end)
end)

describe("a stream of the program's", function()
  local CHUNK = 'data: {"choices":[{"delta":{"content":"%s"}}]}\r\n\r\n'

  it("may be cut at every byte", function()
    local text = ": hi\n" .. CHUNK:format "a" .. CHUNK:format "é" .. "data: [DONE]\n\n"
    local cut
    provide(function(_, x)
      x:headers(200, EVENTS)
      x:data(text:sub(1, cut))
    end)
    keycycle.run(function()
      for at = 0, #text do
        cut = at
        keycycle.spawn(function()
          while #begun <= at do keycycle.sleep(0) end
          keycycle.sleep(0)
          begun[at + 1].exchange:data(text:sub(at + 1))
          begun[at + 1].exchange:done()
        end)
        local stream <close> = client.chat.completions:create(request(true))
        assert.equal("aé", stream:text())
      end
    end)
  end)

  it("is paused where nobody reads, and goes on", function()
    local piece = CHUNK:format(("x"):rep(30000))
    provide(function(_, x)
      x:headers(200, EVENTS)
      x:data(piece:rep(20))
    end)
    local stream <const> = client.chat.completions:create(request(true))
    assert.same({ "pause", begun[1].exchange }, told[1])
    for _ = 1, 20 do assert.is_table(stream()) end
    assert.same({ "go on", begun[1].exchange }, told[2])
    begun[1].exchange:data "data: [DONE]\n\n"
    assert.is_nil(stream())
    assert.same({ "cancel", begun[1].exchange }, told[3]) -- it read all it wants
    assert.equal(3, #told)
  end)

  it("is one of a hundred", function()
    provide(nothing, { keys = { KEY, OTHER } })
    local texts = keycycle.run(function()
      local fns = {}
      for i = 1, 100 do
        fns[i] = function()
          local stream <close> = client.chat.completions:create(request(true))
          return stream:text()
        end
      end
      keycycle.spawn(function()
        while #begun < 100 do keycycle.sleep(0) end
        for i = 1, 100 do begun[i].exchange:headers(200, EVENTS) end
        for part = 1, 3 do
          for i = 1, 100 do begun[i].exchange:data(CHUNK:format(part)) end
          keycycle.sleep(0)
        end
        for i = 1, 100 do
          begun[i].exchange:data "data: [DONE]\n\n"
          begun[i].exchange:done()
        end
      end)
      return keycycle.gather(fns)
    end)
    for i = 1, 100 do assert.equal("123", texts[i]) end
    assert.same({ 0, 100 }, { total().in_flight, total().total_requests })
    assert.same({}, told)
  end)
end)

describe("a transport's functions", function()
  it("may use the module, and the client that called them", function()
    local inner
    provide(function(_, x, n)
      keycycle.step(0)
      collectgarbage()
      if n == 1 then inner = ask() end
      answer(x)
    end)
    for _, call in ipairs { ask, function() return keycycle.spawn(ask):await() end } do
      assert.equal("Yes", call().choices[1].message.content)
      assert.equal("Yes", inner.choices[1].message.content)
      begun, inner = {}, nil
    end
    provide(function(_, x, n) if n > 1 then answer(x) end end, nil,
      { cancel = function(x) inner = ask() x:done() end })
    raises(keycycle.TimeoutError, nil, ask, { request_timeout = 0.01 })
    assert.equal("Yes", inner.choices[1].message.content)
    assert.same({ 0, 2 }, { total().in_flight, total().total_requests })
  end)

  it("may stop the wrapper, which cuts no call", function()
    provide(function(_, x)
      wrapper:stop()
      answer(x)
    end)
    assert.equal("Yes", ask().choices[1].message.content)
    assert.equal("closed", raises(keycycle.KeycycleError, nil, ask).code)
  end)

  it("leave nothing to wait for", function()
    provide(function(_, x) answer(x) end)
    ask { deadline = 50 }
    assert.is_nil(keycycle.timeout())
  end)
end)

describe("the module's own", function()
  it("keeps no wrapper, transport or exchange alive", function()
    provide(function(_, x) answer(x) end)
    ask()
    local weak = setmetatable({ wrapper = wrapper, exchange = begun[1].exchange },
      { __mode = "v" })
    wrapper:stop()
    wrapper, client, manager, begun, told = nil, nil, nil, nil, nil
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(next(weak))
  end)

  it("names what is no transport", function()
    assert.has_error(function() core.transport(5) end)
    assert.has_error(function()
      core.call { method = "GET", url = "https://a.test/", transport = {} }
    end)
  end)
end)
