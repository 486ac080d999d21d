local keycycle = require "keycycle"

describe("the module", function()
  it("has the names that are promised", function()
    for name in ([[MultiClientWrapper MultiProviderWrapper ProviderEnvConfig RateLimits
      RateLimitStrategy OpenAI AsyncOpenAI
      info run spawn gather sleep step pollfd timeout wrap close try is load_api_keys classify
      provider policy clock json http log _VERSION KeycycleError KeycycleKeyError
      NoAvailableKeyError KeyNotFoundError InvalidKeyError RateLimitError ConfigurationError
      MissingEnvironmentVariableError InvalidConfigurationError ScriptError APIError
      TransportError TimeoutError CancelledError StoreError]]):gmatch "%S+" do
      assert.is_not_nil(keycycle[name], name)
    end
  end)

  it("sets no global", function()
    local before = {}
    for name in pairs(_G) do before[name] = true end
    package.loaded.keycycle = nil
    local again = require "keycycle"
    package.loaded.keycycle = keycycle
    assert.equal(keycycle._VERSION, again._VERSION)
    for name in pairs(_G) do assert.is_true(before[name], name) end
  end)

  it("says what a response means", function()
    local verdict = keycycle.classify("groq", { status = 429, headers = { ["retry-after"] = "3" } })
    assert.same({ "temporary", 3 }, { verdict.kind, verdict.retry_after })
    assert.equal("quota", keycycle.classify("nobody", { status = 429 }).kind)
    assert.equal("auth", keycycle.classify(nil, { status = 401, headers = 5, body = 5 }).kind)
    assert.has_error(function() keycycle.classify "groq" end)
  end)

  it("has a clock that a program moves", function()
    local clock = keycycle.clock.manual(5)
    assert.equal(5, clock:now())
    clock:advance(1.5)
    assert.equal(6.5, clock:now())
    assert.equal(1e9, keycycle.clock.manual(1e9):now()) -- as an epoch, to the millisecond
    for i = 1, 999 do -- not one of them a millisecond too far
      local before = clock:now()
      clock:advance(i / 1000)
      assert.equal(i, math.floor((clock:now() - before) * 1000 + 0.5))
    end
    assert.has_error(function() clock:advance(-1) end)
    assert.is_true(math.abs(keycycle.clock.now() - os.time()) < 5)
  end)

  it("tries without raising", function()
    assert.same({ 1, 2 }, { keycycle.try(function(...) return ... end, 1, 2) })
    local value, err = keycycle.try(error, "x")
    assert.is_nil(value)
    assert.equal("x", err)
  end)
end)

describe("plain HTTP", function()
  it("refuses a request that is none", function()
    for word, spec in pairs { url = {}, ["\"uri\""] = { uri = "x" }, timeout = { url = "x",
      timeout = "1" }, headers = { url = "x", headers = { 5 } } } do
      local ok, err = pcall(keycycle.http.request, spec)
      assert.is_false(ok)
      assert.equal("bad_request", err.code)
      assert.truthy(err.message:find(word, 1, true), err.message)
    end
    assert.equal("bad_request", select(2, pcall(keycycle.http.request, "http://x")).code)
    assert.equal("bad_url", select(2, pcall(keycycle.http.request, { url = "x" })).code)
  end)
end)

describe("the notes on the C module", function()
  it("name every function that it has, and no other", function()
    local core = require "keycycle.core"
    local text, named = "", {}
    for _, name in ipairs { "core", "reader", "state", "transport" } do
      local f <close> = assert(io.open("lua/keycycle/meta/" .. name .. ".lua"))
      text = text .. f:read "a"
    end
    for name in text:gmatch "\nfunction core%.([%w_]+)%(" do
      assert.equal("function", type(core[name]), name)
      named[name] = true
    end
    for name, value in pairs(core) do
      if type(value) == "function" then assert.is_true(named[name], name) end
    end
    local pool = core.pool { provider = "p" }
    for name in text:gmatch "\nfunction pool:([%w_]+)%(" do
      assert.equal("function", type(pool[name]), name)
    end
    pool:close()
  end)
end)
