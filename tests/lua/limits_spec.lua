local keycycle = require "keycycle"
local limits = require "keycycle.limits"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError

describe("RateLimits", function()
  it("are whole numbers by name", function()
    assert.equal(5, keycycle.RateLimits({ requests_per_minute = 5 }).requests_per_minute)
    assert.equal(0, keycycle.RateLimits({ tokens_per_day = 0 }).tokens_per_day)
    assert.equal(5, keycycle.RateLimits({ tokens_per_hour = 5.0 }).tokens_per_hour)
    assert.is_nil(next(keycycle.RateLimits {}))
  end)

  it("raise for all else, naming it", function()
    for word, given in pairs {
      ["\"rpm\""] = { rpm = 5 }, ["requests_per_minute"] = { requests_per_minute = -1 },
      ["requests_per_hour"] = { requests_per_hour = 1.5 },
      ["requests_per_day"] = { requests_per_day = "5" },
      ["tokens_per_minute"] = { tokens_per_minute = math.huge },
      ["tokens_per_day"] = { tokens_per_day = 0 / 0 },
      ["input_tokens_per_minute must"] = { input_tokens_per_minute = -5 },
      ["time zone"] = { day_resets_at = "Nowhere" }, ["day_resets_at"] = { day_resets_at = 5 },
      ["windows must be a list"] = { windows = 5 },
      ["windows must be a list of"] = { windows = { seconds = 10, requests = 5 } },
      ["windows[1] limits nothing"] = { windows = { { seconds = 10 } } },
      ['windows[1] has no field "second"'] = { windows = { { second = 10, requests = 5 } } },
      ['windows has no field "a"'] = { windows = { a = {} } },
      ["windows[1] must be a table"] = { windows = { 5 } },
      ["windows[1].seconds"] = { windows = { { requests = 5 } } },
      ["windows[2].seconds"] = { windows = { { seconds = 1, tokens = 1 },
        { seconds = 0 } } },
      ["seconds must be a number"] = { windows = { { seconds = 31 * 86400 + 1 } } },
      ["from 0.001"] = { windows = { { seconds = 0 / 0 } } },
      ["windows[1].requests must be"] = { windows = { { seconds = 10, requests = -1 } } },
      ['windows[1] has no field "rpm"'] = { windows = { { seconds = 10, rpm = 1 } } },
      ["more than 4 windows"] = { input_tokens_per_minute = 1, windows = {
        { seconds = 1, tokens = 1, input_tokens = 1 }, { seconds = 2, tokens = 1 },
        { seconds = 3, output_tokens = 1 } } },
    } do
      raises(Invalid, word, keycycle.RateLimits, given)
    end
    raises(Invalid, "must be a table", keycycle.RateLimits, 5)
  end)
end)

describe("a provider's limits", function()
  it("are one table for all models, or one a model", function()
    assert.equal(5, limits.read({ requests_per_minute = 5 }, "limits").default.requests_per_minute)
    local by_model = limits.read({ m = { requests_per_day = 1 }, default = {} }, "limits")
    assert.equal(1, by_model.m.requests_per_day)
    assert.truthy(by_model.default)
    assert.is_nil(limits.read(nil, "limits"))
  end)

  it("name the model whose limits are wrong", function()
    raises(Invalid, "limits.m.requests_per_day", limits.read, { m = { requests_per_day = "x" } },
      "limits")
    raises(Invalid, "limits has no field", limits.read, { m = 5 }, "limits")
    raises(Invalid, "limits has no field", limits.read, { 5 }, "limits")
    raises(Invalid, "table or a function", limits.read, 5, "limits")
  end)

  -- What holds for (key, model), as the engine sees it.
  local function holding(config)
    config.base_url, config.keys = "http://127.0.0.1:1/v1",
      { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba" }
    local wrapper = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", config)
    local manager = wrapper:get_manager "p"
    return wrapper, function(key, model)
      return manager:explain(model)[key].limits.requests_per_minute
    end
  end

  it("hold by key and model, then key, then model, then default", function()
    local wrapper <close>, of = holding {
      limits = { m = { requests_per_minute = 2 }, default = { requests_per_minute = 1 } },
      key_limits = { [1] = { m = { requests_per_minute = 4 },
        default = { requests_per_minute = 3 } } },
    }
    assert.same({ 4, 3, 2, 1 }, { of(1, "m"), of(1, "x"), of(2, "m"), of(2, "x") })
    assert.truthy(wrapper)
  end)

  it("tell input and output apart", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {
      clock = keycycle.clock.manual(1000) }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { "sk-test-0123456789abcdefghij" },
      limits = { input_tokens_per_minute = 100, output_tokens_per_minute = 20 } })
    local manager = wrapper:get_manager "p"
    manager:get_key("m", { estimated_tokens = 50 }):commit { input_tokens = 10, output_tokens = 20 }
    local lease, why = manager:get_key("m", { estimated_tokens = 91 })
    assert.is_nil(lease)
    assert.equal("input_tokens_per_minute", why.limit)
    lease = manager:get_key("m", { estimated_tokens = 90 })
    assert.truthy(lease)
    lease:cancel()
    local client = wrapper:get_rotating_client("p", { wait = false, max_retries = 0 })
    local err = raises(keycycle.NoAvailableKeyError, "output_tokens_per_minute",
      client.chat.completions.create, { max_tokens = 1,
      messages = { { role = "user", content = "Hi" } } })
    assert.is_true(err.retry_after > 59)
    raises(keycycle.TransportError, nil, client.chat.completions.create,
      { messages = { { role = "user", content = "Hi" } } })
  end)

  it("have windows of any length", function()
    local clock = keycycle.clock.manual(1000)
    local wrapper <close> = keycycle.MultiClientWrapper.new { clock = clock }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { "sk-test-0123456789abcdefghij" }, limits = { requests_per_minute = 60, windows = {
        { seconds = 10, requests = 2, input_tokens = 50 }, { seconds = 30 * 86400, tokens = 1000 },
      } } })
    local manager = wrapper:get_manager "p"
    for _ = 1, 2 do manager:get_key():commit(1) end
    local _, why = manager:get_key()
    assert.same({ "limited", "requests_per_window", 10, 2 },
      { why.code, why.limit, why.window, why.max })
    assert.is_true(why.retry_after > 10 and why.retry_after < 10.01)
    local client = wrapper:get_rotating_client("p", { wait = false, max_retries = 0 })
    raises(keycycle.NoAvailableKeyError, "requests_per_window (10 s)",
      client.chat.completions.create, { messages = { { role = "user", content = "Hi" } } })
    clock:advance(why.retry_after)
    _, why = manager:get_key("m", { estimated_tokens = 51 })
    assert.same({ "impossible", "input_tokens_per_window" }, { why.code, why.limit })
    manager:get_key():commit(999)
    clock:advance(29 * 86400)
    _, why = manager:get_key("m", { estimated_tokens = 1 })
    assert.same({ "tokens_per_window", 30 * 86400 }, { why.limit, why.window })
    assert.is_true(why.retry_after > 86380 and why.retry_after < 86410)
    local shown = manager:explain("m")[1].limits
    table.sort(shown.windows, function(a, b) return a.seconds < b.seconds end)
    assert.same({ 60, 10, 2592000 }, { shown.requests_per_minute, shown.windows[1].seconds,
      shown.windows[3].seconds })
  end)

  it("of a day begin anew at midnight, where they say so", function()
    local clock = keycycle.clock.manual(1772956800 - 3600) -- an hour before, in Los Angeles
    local wrapper <close> = keycycle.MultiClientWrapper.new { clock = clock }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { "sk-test-0123456789abcdefghij" },
      limits = { requests_per_day = 2, day_resets_at = "America/Los_Angeles" } })
    local manager = wrapper:get_manager "p"
    for _ = 1, 2 do manager:get_key():commit(1) end
    local lease, why = manager:get_key()
    assert.is_nil(lease)
    assert.equal("requests_per_day", why.limit)
    assert.is_true(why.retry_after >= 3600 and why.retry_after <= 3603)
    clock:advance(why.retry_after)
    assert.equal(0, manager:get_global_stats().total.rpd)
    for _ = 1, 2 do manager:get_key():commit(1) end
    why = select(2, manager:get_key())
    assert.is_true(why.retry_after > 22.9 * 3600 and why.retry_after <= 23 * 3600) -- March 8
  end)

  it("are asked of a function once a key and model", function()
    local asked = {}
    local wrapper <close>, of = holding { limits = function(model, key)
      asked[#asked + 1] = model .. key
      return { requests_per_minute = model == "m" and key * 10 or nil }
    end }
    assert.same({ 10, 20, 10 }, { of(1, "m"), of(2, "m"), of(1, "m") })
    assert.is_nil(of(1, "x"))
    table.sort(asked)
    assert.same({ "m1", "m2", "x1", "x2" }, asked)
    assert.truthy(wrapper)
  end)

  it("of a function are checked", function()
    local wrapper <close>, of = holding { limits = function() return { rpm = 5 } end }
    raises(Invalid, "function's result", of, 1, "m")
    raises(Invalid, "function's result", of, 1, "m") -- each time, until it is right
    assert.truthy(wrapper)
  end)

  it("by key need a key that is there", function()
    raises(keycycle.KeyNotFoundError, nil, holding, { key_limits = { [3] = {} } })
  end)
end)
