local keycycle = require "keycycle"
local raises = require "tests.support.raises"

describe("simulate", function()
  it("serves all at once without limits", function()
    local day = keycycle.simulate { calls_per_hour = 100, hours = 10 }
    assert.is_true(day.served > 850 and day.served < 1150)
    assert.same({ 0, 0, 0, 0 }, { day.waited, day.refused, day.wait_p50, day.wait_p99 })
  end)

  it("lets callers wait where there is little room, and refuses where there is none", function()
    local tight = { calls_per_hour = 600, hours = 4, keys = 1, timeout = 300,
      limits = keycycle.RateLimits { requests_per_minute = 11 } }
    local day = keycycle.simulate(tight)
    assert.is_true(day.waited > 0)
    assert.is_true(day.wait_p99 >= day.wait_p50 and day.wait_p99 <= 300)
    tight.keys = 4
    local roomy = keycycle.simulate(tight)
    assert.equal(day.served + day.refused, roomy.served + roomy.refused)
    assert.is_true(roomy.waited < day.waited)
    tight.keys, tight.calls_per_hour = 1, 6000
    local full = keycycle.simulate(tight)
    assert.is_true(full.refused > full.served)
    -- Never over the limit: 11 a minute for 4 hours and a first minute more.
    assert.is_true(full.served <= 11 * (4 * 60 + 1 + 5))
  end)

  it("knows the model it calls by a pattern", function()
    local day = keycycle.simulate { calls_per_hour = 100, hours = 1, model = "llama-3", timeout = 0,
      limits = { ["llama-*"] = { requests_per_day = 10 }, default = {} } }
    assert.equal(10, day.served)
  end)

  it("counts tokens", function()
    local day = keycycle.simulate { calls_per_hour = 60, hours = 2, tokens = 1000, timeout = 0,
      limits = { tokens_per_hour = 10000 } }
    assert.is_true(day.served >= 10 and day.served <= 30)
    local none = keycycle.simulate { calls_per_hour = 60, hours = 1, tokens = 20000,
      limits = { tokens_per_hour = 10000 } }
    assert.equal(0, none.served)
    assert.is_true(none.refused > 0)
  end)

  it("repeats itself, and differs by its seed", function()
    local function run(seed)
      return keycycle.simulate { calls_per_hour = 500, hours = 1, seed = seed,
        limits = { requests_per_minute = 8 } }
    end
    assert.same(run(1), run(1))
    assert.not_same(run(1), run(2))
  end)

  it("refuses what it does not know", function()
    for word, given in pairs { ["\"call_rate\""] = { call_rate = 5 },
      ["calls_per_hour is missing"] = { keys = 1 },
      ["keys goes"] = { calls_per_hour = 1, keys = 0 },
      ["keys must be a whole"] = { calls_per_hour = 1, keys = 1.5 },
      ["hours"] = { calls_per_hour = 1, hours = -1 }, ["limits"] = { calls_per_hour = 1,
        limits = { rpm = 5 } }, ["more than"] = { calls_per_hour = 1e9 } } do
      raises(keycycle.InvalidConfigurationError, word, keycycle.simulate, given)
    end
    raises(keycycle.InvalidConfigurationError, "table", keycycle.simulate, 5)
  end)

  it("calls one model where limits are by model", function()
    local given = { limits = { m = { requests_per_minute = 1 } }, calls_per_hour = 500, hours = 1 }
    raises(keycycle.InvalidConfigurationError, "by model need model", keycycle.simulate, given)
    given.model = "m"
    local run = keycycle.simulate(given)
    assert.is_true(run.served <= 61 and run.refused > 300)
  end)
end)
