local keycycle = require "keycycle"
local errors = require "keycycle.errors"

describe("the tree of errors", function()
  local tree = {
    NoAvailableKeyError = "KeycycleKeyError", KeyNotFoundError = "KeycycleKeyError",
    InvalidKeyError = "KeycycleKeyError", KeycycleKeyError = "KeycycleError",
    RateLimitError = "KeycycleError", ConfigurationError = "KeycycleError",
    MissingEnvironmentVariableError = "ConfigurationError",
    InvalidConfigurationError = "ConfigurationError", ScriptError = "ConfigurationError",
    APIError = "KeycycleError", TransportError = "KeycycleError",
    TimeoutError = "TransportError", CancelledError = "KeycycleError",
    StoreError = "KeycycleError",
  }

  it("is followed upwards and never downwards or across", function()
    for name, parent in pairs(tree) do
      local err = errors.new(keycycle[name], { message = "m" })
      assert.is_true(keycycle.is(err, keycycle[name]), name)
      assert.is_true(keycycle.is(err, keycycle[parent]), name)
      assert.is_true(keycycle.is(err, keycycle.KeycycleError), name)
      assert.is_false(keycycle.is(errors.new(keycycle[parent], {}), keycycle[name]), name)
    end
    local limited = errors.new(keycycle.RateLimitError, {})
    assert.is_false(keycycle.is(limited, keycycle.KeycycleKeyError))
  end)

  it("takes nothing else for an error", function()
    for _, value in ipairs { "text", 1, true, {}, print } do
      assert.is_false(keycycle.is(value, keycycle.KeycycleError))
    end
    assert.is_false(keycycle.is(nil, keycycle.KeycycleError))
  end)
end)

describe("an error object", function()
  it("reads as one sentence with what is known", function()
    local err = errors.new(errors.RateLimitError, { code = "rate_limited", message = "slow down",
      provider = "groq", model = "m", status = 429, retry_after = 2.5 })
    assert.equal("RateLimitError: slow down (rate_limited, provider groq, model m, status 429, "
      .. "retry after 2.5 s)", tostring(err))
    assert.equal("KeycycleError: failed", tostring(errors.new(errors.KeycycleError, {})))
  end)

  it("keeps its identity through raise and pcall", function()
    local err = errors.new(errors.APIError, { code = "server" })
    local _, caught = pcall(error, err, 0)
    assert.equal(err, caught)
    local ok, raised = pcall(errors.raise, errors.APIError, { code = "server" })
    assert.is_false(ok)
    assert.equal("server", raised.code)
  end)

  it("says when to come back as a time too", function()
    local before = os.time()
    local err = errors.new(errors.RateLimitError, { retry_after = 30 })
    assert.is_true(err.retry_at >= before + 30 and err.retry_at <= os.time() + 30)
    assert.is_nil(errors.new(errors.RateLimitError, {}).retry_at)
  end)
end)

describe("an error of the C module", function()
  local classes = {
    limited = "NoAvailableKeyError", queue_full = "NoAvailableKeyError",
    impossible = "RateLimitError", no_key = "InvalidKeyError", not_found = "KeyNotFoundError",
    ambiguous = "KeyNotFoundError", no_such_store = "ConfigurationError", store = "StoreError",
    corrupt = "StoreError", timeout = "TimeoutError", resolve = "TransportError",
    connect = "TransportError", tls = "TransportError", cut = "TransportError",
    garbage = "TransportError", too_large = "TransportError", closed = "KeycycleError",
    forked = "KeycycleError", bad_request = "KeycycleError", cancelled = "CancelledError",
    insecure = "InvalidConfigurationError", bad_url = "InvalidConfigurationError",
    invalid = "InvalidConfigurationError",
  }

  it("becomes an object of the class that the code names", function()
    for code, name in pairs(classes) do
      local err = errors.from_core { code = code, message = "m" }
      assert.equal(errors[name], err.class, code)
      assert.equal(code, err.code)
    end
    assert.equal(errors.KeycycleError, errors.from_core({ code = "never heard of" }).class)
  end)

  it("keeps what it knew, unless it is told better", function()
    local err = errors.from_core({ code = "limited", message = "old", retry_after = 3,
      limit = "requests_per_minute", max = 5 }, { message = "new", provider = "groq" })
    assert.equal("new", err.message)
    assert.equal("groq", err.provider)
    assert.equal("requests_per_minute", err.limit)
    assert.equal(5, err.max)
    assert.equal(3, err.retry_after)
  end)
end)

describe("keycycle.try", function()
  it("gives all results, nil and false among them", function()
    local got = table.pack(keycycle.try(function(...) return ... end, 1, nil, false, nil))
    assert.equal(4, got.n)
    assert.equal(1, got[1])
    assert.is_false(got[3])
  end)

  it("gives nil and the very error", function()
    local err = errors.new(errors.APIError, {})
    local value, caught = keycycle.try(function() error(err, 0) end)
    assert.is_nil(value)
    assert.equal(err, caught)
  end)
end)
