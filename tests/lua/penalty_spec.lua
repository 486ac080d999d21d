local keycycle = require "keycycle"
local penalty = require "keycycle.refusal.penalty"

local KEYS = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
  "sk-test-aaaaabbbbbcccccddddd" }
local wrapper, manager, clock

local function start(config)
  clock = keycycle.clock.manual(1e9)
  wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE",
    clock = clock }
  local all = { base_url = "http://127.0.0.1:1/v1", keys = KEYS }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider("p", all)
  manager = wrapper:get_manager "p"
end

-- For how many seconds key `index` cannot serve `model`, rounded; 0: it can.
local function away(index, model)
  local line = manager:explain(model)[index]
  return line.usable and 0 or math.floor((line.retry_after or math.huge) + 0.5)
end

describe("a key that met a limit", function()
  after_each(function() wrapper:stop() end)

  local function cool(verdict, config)
    local lease <close> = manager:get_specific_key(1, "m")
    verdict.kind = verdict.kind or "quota"
    penalty.cool(lease, verdict, config)
  end

  it("is put away until the window resets, else for as long as was stated", function()
    start()
    cool { scope = "model", retry_after = 20, reset_after = 500 }
    assert.equal(500, away(1, "m"))
    manager:reset(1)
    cool({ scope = "model", retry_after = 20 }, { cooldown_seconds = 90 })
    assert.equal(20, away(1, "m"))
    assert.match("quota", manager:keys()[1].reason)
  end)

  it("is put away for the configured time, or by its window, where nothing was stated", function()
    start()
    cool({ scope = "model", window = "day" }, { cooldown_seconds = 90 })
    assert.equal(90, away(1, "m"))
    for window, seconds in pairs { hour = 300, day = 900, month = 3600 } do
      manager:reset(1)
      cool { scope = "model", window = window }
      assert.equal(seconds, away(1, "m"))
      assert.match(window, manager:keys()[1].reason, 1, true)
    end
    for _, window in ipairs { "second", "minute", false } do
      manager:reset(1)
      cool { scope = "model", window = window or nil }
      assert.is_true(away(1, "m") <= 1, "the engine's own guess")
    end
  end)

  it("is put away for the model alone, or as a whole", function()
    start()
    cool { scope = "model", retry_after = 20 }
    assert.same({ 20, 0, 0 }, { away(1, "m"), away(1, "other"), away(2, "m") })
    manager:reset(1)
    cool { scope = "key", retry_after = 20 }
    assert.same({ 20, 20, 0 }, { away(1, "m"), away(1, "other"), away(2, "m") })
  end)

  it("takes its whole group with it", function()
    start { keys = { { api_key = KEYS[1], group = "org" }, { api_key = KEYS[2], group = "org" },
      KEYS[3] } }
    cool { scope = "group", retry_after = 20 }
    assert.same({ 20, 20, 0 }, { away(1, "m"), away(2, "m"), away(3, "m") })
    assert.equal(20, away(2, "other"))
  end)

  it("is not blamed for what is the provider's or the request's", function()
    start()
    for _, verdict in ipairs { { scope = "provider", retry_after = 20 },
      { scope = "request", retry_after = 20 }, { scope = "key", kind = "overloaded" },
      { scope = "model", kind = "temporary", retry_after = 5 }, { scope = "key", kind = "server" },
      { scope = "key", kind = "invalid_request" } } do
      cool(verdict)
      assert.equal(0, away(1, "m"), verdict.kind)
    end
  end)

  it("may have been removed meanwhile", function()
    start()
    local lease <close> = manager:get_specific_key(1, "m")
    manager:remove_key(1)
    penalty.cool(lease, { kind = "quota", scope = "key", retry_after = 20 })
    penalty.take_out(lease, { kind = "auth" }, 401)
  end)
end)

describe("a key without access to a model", function()
  after_each(function() wrapper:stop() end)

  it("is left alone for a minute, and for an hour once another key had access", function()
    start()
    do
      local lease <close> = manager:get_specific_key(1, "m")
      penalty.suspect(lease)
    end
    assert.same({ 60, 0 }, { away(1, "m"), away(1, "other") })
    assert.equal("no access", manager:keys()[1].reason)
    local known = require "keycycle.entry".of(manager:get_specific_key(2, "m"))
    penalty.confirm(known, "m", { 1 })
    assert.same({ 3600, 0, 0 }, { away(1, "m"), away(1, "other"), away(2, "m") })
  end)

  it("does not lose its other models where limits are all models'", function()
    start { strategy = "global" }
    local lease <close> = manager:get_specific_key(2, "m")
    penalty.confirm(require "keycycle.entry".of(lease), "m", { 1 })
    assert.equal(0, away(1, "m"))
  end)
end)

describe("a lease that failed", function()
  after_each(function() wrapper:stop() end)

  local function fail(status, body, headers)
    local lease = manager:get_specific_key(1, "m")
    local verdict = lease:fail { status = status, body = body or "", headers = headers or {} }
    assert.is_true(lease.settled)
    return verdict.kind
  end

  it("puts its key away as our own client does", function()
    start { cooldown_seconds = 45 }
    assert.equal("quota", fail(429))
    assert.equal(45, away(1, "m"))
    manager:reset(1)
    assert.equal("auth", fail(401))
    assert.equal("suspended", manager:keys()[1].state)
    manager:reset(1)
    assert.equal("payment", fail(402))
    assert.equal("exhausted", manager:keys()[1].state)
    manager:reset(1)
    assert.equal("overloaded", fail(503))
    assert.equal("ready", manager:keys()[1].state)
  end)

  it("is judged by the rules of the provider that it came from", function()
    start()
    -- "p" is no name that is known: its rules are those of its registration.
    assert.equal("payment", fail(429, '{"error":{"code":"insufficient_quota","message":"m"}}'))
    assert.equal("exhausted", manager:keys()[1].state)
  end)

  it("reads in the headers of limits how long its quota stays spent", function()
    start()
    wrapper:register_provider("openai", { base_url = "http://127.0.0.1:1/v1", keys = KEYS })
    manager = wrapper:get_manager "openai"
    assert.equal("quota", fail(429, "", { ["X-RateLimit-Remaining-Requests"] = "0",
      ["X-RateLimit-Reset-Requests"] = "1m20s" }))
    assert.equal(80, away(1, "m"))
  end)

  it("names its entry, also where a pool is shared, for as long as that is there", function()
    start()
    local lease = manager:get_key "m"
    local entry_of = require "keycycle.entry".of
    assert.equal("p", entry_of(lease).name)
    local others = {}
    for i = 1, 2 do
      others[i] = keycycle.MultiClientWrapper.new { shared = "penalty_spec",
        db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
      others[i]:register_provider("q", { base_url = "http://127.0.0.1:1/v1", keys = KEYS })
      local held <close> = others[i]:get_manager("q"):get_key "m"
      assert.equal("q", entry_of(held).name)
    end
    for _, other in ipairs(others) do other:stop() end
    lease:cancel()
  end)

  it("raises when it had ended, and leaves its key alone", function()
    start()
    local lease = manager:get_specific_key(1, "m")
    lease:commit(1)
    assert.has_error(function() lease:fail { status = 401, body = "" } end)
    assert.equal("ready", manager:keys()[1].state)
  end)
end)
