local keycycle = require "keycycle"
local charge = require "keycycle.limit.charge"
local raises = require "tests.support.raises"
local usage = require "keycycle.call.usage"

local KEYS = { "sk-test-0123456789abcdefghij" }

describe("what a provider charges", function()
  it("is checked, with the field's name in the error", function()
    local all = { requests_failed = false, max_tokens = "reserve", cached = false,
      shared_by = "openai-organization" }
    assert.equal(all, charge.check(all))
    assert.same({}, charge.check {})
    for word, bad in pairs { request_failed = { request_failed = true }, cached = { cached = "no" },
      max_tokens = { max_tokens = "all" }, shared_by = { shared_by = 5 }, table = 7 } do
      raises(keycycle.InvalidConfigurationError, word, charge.check, bad)
    end
    raises(keycycle.InvalidConfigurationError, "provider p: charge.cached", charge.check,
      { cached = 1 }, "provider p: charge")
  end)

  local used = { input_tokens = 80, output_tokens = 20, total_tokens = 100, cached_tokens = 60 }

  it("is what was used, unless it says otherwise", function()
    for _, rules in ipairs { {}, { cached = true }, { max_tokens = "actual" } } do
      assert.equal(used, charge.counted(rules, used, 500))
    end
    assert.equal(used, charge.counted(nil, used, 500))
    assert.is_nil(charge.counted({ cached = false }, nil, 500))
  end)

  it("leaves cached input out where the provider does", function()
    assert.same({ input_tokens = 80, output_tokens = 20, total_tokens = 100, counted_tokens = 40,
      counted_input_tokens = 20 }, charge.counted({ cached = false }, used, 500))
    assert.equal(0, charge.counted({ cached = false },
      { total_tokens = 5, cached_tokens = 9 }, 0).counted_tokens)
    for _, none in ipairs { "many", -3, 0.5, false } do
      local odd = { total_tokens = 5, cached_tokens = none }
      assert.equal(odd, charge.counted({ cached = false }, odd, 0))
    end
  end)

  it("keeps what was reserved where the provider does, unless more was used", function()
    local kept = charge.counted({ max_tokens = "reserve" }, used, 500)
    assert.same({ 500, 80, 100 }, { kept.counted_tokens, kept.counted_input_tokens,
      kept.total_tokens })
    assert.equal(used, charge.counted({ max_tokens = "reserve" }, used, 30))
    local both = charge.counted({ max_tokens = "reserve", cached = false }, used, 50)
    assert.same({ 50, 20 }, { both.counted_tokens, both.counted_input_tokens })
  end)
end)

describe("a settled lease", function()
  local wrapper, manager
  before_each(function()
    wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE",
      clock = keycycle.clock.manual(1e9) }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = KEYS,
      limits = { tokens_per_minute = 1000, requests_per_minute = 10 } })
    manager = wrapper:get_manager "p"
  end)
  after_each(function() wrapper:stop() end)

  local function lease() return manager:get_key("m", { estimated_tokens = 300 }) end

  local function counts()
    local s = manager:get_key_stats(1).total
    return { rpm = s.rpm, tpm = s.tpm, requests = s.total_requests, tokens = s.total_tokens,
      in_flight = s.in_flight }
  end

  it("counts for the limits what the provider counts, in the totals what was used", function()
    usage.settle(lease(), { input_tokens = 80, output_tokens = 20, total_tokens = 100,
      cached_tokens = 60 }, { cached = false })
    assert.same({ rpm = 1, tpm = 40, requests = 1, tokens = 100, in_flight = 0 }, counts())
    usage.settle(lease(), { total_tokens = 100 }, { max_tokens = "reserve" })
    assert.same({ rpm = 2, tpm = 340, requests = 2, tokens = 200, in_flight = 0 }, counts())
    usage.settle(lease(), nil, { max_tokens = "reserve" })
    assert.same({ rpm = 3, tpm = 640, requests = 3, tokens = 500, in_flight = 0 }, counts())
  end)

  it("gives a refused request back where the provider does not count it", function()
    charge.fail(lease(), { requests_failed = false }, 429)
    assert.same({ rpm = 0, tpm = 0, requests = 1, tokens = 0, in_flight = 0 }, counts())
    for i, rules in ipairs { {}, { requests_failed = true } } do
      charge.fail(lease(), rules, 429)
      assert.same({ rpm = i, tpm = 0, requests = 1 + i, tokens = 0, in_flight = 0 }, counts())
    end
  end)

  it("stays counted where a broken server may have counted it", function()
    charge.fail(lease(), { requests_failed = false }, 503)
    assert.same({ rpm = 1, tpm = 300, requests = 1, tokens = 300, in_flight = 0 }, counts())
    charge.fail(lease(), { requests_failed = false }, nil, true)
    assert.same({ rpm = 2, tpm = 600, requests = 2, tokens = 600, in_flight = 0 }, counts())
    charge.fail(lease(), nil, nil, false)
    assert.same({ rpm = 2, tpm = 600, requests = 2, tokens = 600, in_flight = 0 }, counts())
  end)

  it("cannot be settled again", function()
    local held = lease()
    charge.fail(held, nil, 429)
    raises(keycycle.KeycycleError, nil, charge.fail, held, nil, 429)
  end)
end)
