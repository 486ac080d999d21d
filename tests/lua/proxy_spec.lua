local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local KEYS = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba" }
local messages = { { role = "user", content = "Hi" } }

-- Nothing listens on port 1 of loopback: a request that gets past the checks
-- ends as a TransportError.
local function wrapper_of(config)
  local wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
  local all = { base_url = "http://127.0.0.1:1/v1", keys = KEYS, default_model = "m" }
  for k, v in pairs(config or {}) do all[k] = v end
  return wrapper:register_provider("p", all)
end

describe("a client", function()
  local wrapper, client
  before_each(function()
    wrapper = wrapper_of()
    client = wrapper:get_rotating_client("p", { max_retries = 0 })
  end)
  after_each(function() wrapper:stop() end)

  local function sent()
    return wrapper:get_manager("p"):get_global_stats().total.total_requests
  end

  it("shows its provider and no key", function()
    assert.equal("keycycle client of p", tostring(client))
  end)

  it("lists the known paths for one that is not", function()
    local err = raises(keycycle.InvalidConfigurationError, "chat.completions.create",
      function() return client.completions end)
    assert.equal("unknown_path", err.code)
    assert.truthy(err.message:find("models.list", 1, true))
    raises(keycycle.InvalidConfigurationError, "client.chat.completions.creat ",
      function() return client.chat.completions.creat end)
    raises(keycycle.InvalidConfigurationError, "chat.completions",
      function() client.chat.completions {} end)
  end)

  it("can be called with a colon and with a dot", function()
    local chat = client.chat.completions
    for _, fn in ipairs {
      function() chat:create { messages = messages } end,
      function() chat.create { messages = messages } end,
      function() client.models:list() end,
      function() client.models.list() end,
      function() client:request { path = "/models" } end,
      function() client.request { path = "/models" } end,
    } do
      assert.equal("connect", raises(keycycle.TransportError, nil, fn).code)
    end
  end)

  it("refuses a request that is none, before anything is sent", function()
    local cyclic = { messages = messages }
    cyclic.metadata = cyclic
    for word, request in pairs {
      ["table"] = "Hi", ["number"] = 5,
    } do
      local err = raises(keycycle.KeycycleError, word, client.chat.completions.create, request)
      assert.equal("bad_request", err.code)
    end
    for place, request in pairs {
      metadata = cyclic,
      callback = { messages = messages, callback = print },
      content = { messages = { { role = "user", content = "\255\254" } } },
    } do
      local err = raises(keycycle.KeycycleError, place, client.chat.completions.create, request)
      assert.equal("bad_request", err.code)
    end
    assert.equal("bad_request", raises(keycycle.KeycycleError, nil,
      client.chat.completions.create).code)
    assert.equal(0, sent())
  end)

  it("refuses a query, a model or a field that is none", function()
    for word, fn in pairs {
      ["models.list needs a table"] = function() client.models.list "gpt" end,
      ["the query's after"] = function() client.models.list { after = {} } end,
      ["the query's 1"] = function() client.models.list { "x" } end,
      ["model must be"] = function()
        client.chat.completions.create { model = {}, messages = messages }
      end,
      ["no field \"paht\""] = function() client.request { paht = "/models" } end,
      ["request.query must"] = function() client.request { path = "/models", query = "a=1" } end,
      ["request.headers must"] = function() client.request { path = "/x", headers = "a: 1" } end,
      ["not both"] = function() client.request { path = "/x", json = {}, body = "x" } end,
    } do
      assert.equal("bad_request", raises(keycycle.KeycycleError, word, fn).code)
    end
    raises(keycycle.InvalidConfigurationError, nil, client.request,
      { path = "/x", headers = { ["a\r\nb"] = "x" } })
    for _, headers in ipairs { { x = "a\r\nb: c" }, { x = "a\0b" }, { ["x y"] = "a" }, { "a" } } do
      raises(keycycle.InvalidConfigurationError, "request.headers: ", client.request,
        { path = "/x", headers = headers })
      raises(keycycle.InvalidConfigurationError, "option headers: ", client.models.list, nil,
        { headers = headers })
    end
    raises(keycycle.InvalidConfigurationError, nil, client.request,
      { path = "/x", method = "GET /" })
    assert.equal(0, sent())
  end)

  it("pins a key only when it is told which", function()
    raises(keycycle.InvalidConfigurationError, "key_id", client.chat.completions.create,
      { messages = messages }, { pin_key = true })
    assert.equal(0, sent())
  end)

  it("needs a model from somewhere", function()
    wrapper:stop()
    wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = KEYS })
    local bare = wrapper:get_rotating_client("p", { max_retries = 0 })
    local err = raises(keycycle.KeycycleError, "model", bare.chat.completions.create,
      { messages = messages })
    assert.equal("bad_request", err.code)
    assert.equal("connect", raises(keycycle.TransportError, nil, bare.chat.completions.create,
      { messages = messages }, { model = "other" }).code)
  end)

  it("leaves the caller's table as it is", function()
    local request = { messages = messages }
    raises(keycycle.TransportError, nil, client.chat.completions.create, request,
      { excluded_params = { "messages" } })
    assert.same({ messages = messages }, request)
    assert.is_nil(request.model)
  end)

  it("raises for an option that is not known, and names it", function()
    for word, opts in pairs {
      time_out = { time_out = 2 }, timeout = { timeout = "2" }, priority = { priority = 8 },
      wait = { wait = 1 }, deadline = { deadline = -1 }, headers = { headers = "x" },
    } do
      raises(keycycle.InvalidConfigurationError, word, wrapper.get_rotating_client, wrapper,
        "p", opts)
      raises(keycycle.InvalidConfigurationError, word, client.chat.completions.create,
        { messages = messages }, opts)
    end
  end)

  it("knows its keys from one on", function()
    local function with(id)
      return function() client.chat.completions.create({ messages = messages }, { key_id = id }) end
    end
    raises(keycycle.KeyNotFoundError, "keys count from 1", with(0))
    raises(keycycle.KeyNotFoundError, nil, with(3))
    raises(keycycle.KeyNotFoundError, nil, with "nobody")
    local err = raises(keycycle.KeyNotFoundError, nil, with(KEYS[1]:upper()))
    assert.is_nil(tostring(err):find(KEYS[1]:upper(), 1, true))
    for _, id in ipairs { 2, KEYS[2], KEYS[2]:sub(-6) } do
      local refused = raises(keycycle.TransportError, nil, with(id))
      assert.equal(2, refused.attempts[1].key_index)
    end
  end)

  it("refuses a path that is none", function()
    for _, spec in ipairs { {}, { path = "models" }, { path = 5 } } do
      assert.equal("bad_request", raises(keycycle.KeycycleError, "path", client.request, spec).code)
    end
    assert.equal("bad_request", raises(keycycle.KeycycleError, nil, client.request, "/models").code)
  end)

  it("says so after the wrapper was stopped", function()
    wrapper:stop()
    local err = raises(keycycle.KeycycleError, nil, client.chat.completions.create,
      { messages = messages })
    assert.equal("closed", err.code)
  end)

  it("gives the key back when nothing was reached", function()
    raises(keycycle.TransportError, nil, client.chat.completions.create, { messages = messages })
    local total = wrapper:get_manager("p"):get_global_stats().total
    assert.equal(0, total.in_flight)
    assert.equal(0, total.rpm)
    assert.equal(0, total.tpm)
  end)

  it("sends no key over plain http to another machine", function()
    local err = raises(keycycle.InvalidConfigurationError, nil, client.chat.completions.create,
      { messages = messages }, { base_url = "http://192.0.2.1/v1" })
    assert.equal("insecure", err.code)
    assert.equal(0, wrapper:get_manager("p"):get_global_stats().total.in_flight)
  end)

  it("yields inside a task and says the same", function()
    local err, other = nil, 0
    keycycle.run(function()
      keycycle.spawn(function() other = other + 1 end)
      err = raises(keycycle.TransportError, nil, client.chat.completions.create,
        { messages = messages })
    end)
    assert.equal("connect", err.code)
    assert.equal(1, other)
  end)
end)

describe("a call without room", function()
  local wrapper, client
  local function with(config, clock)
    wrapper = keycycle.MultiClientWrapper.new {
      db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE", clock = clock,
    }
    config.base_url, config.keys = "http://127.0.0.1:1/v1", { KEYS[1] }
    config.default_model = "m"
    wrapper:register_provider("p", config)
    client = wrapper:get_rotating_client("p", { max_retries = 0 })
  end
  after_each(function() wrapper:stop() end)

  local function ask(opts)
    return client.chat.completions:create({ messages = messages }, opts)
  end

  it("says at once how long, with wait = false", function()
    with({ limits = { requests_per_minute = 1 } }, keycycle.clock.manual(1000))
    local held = wrapper:get_manager("p"):get_key "m"
    held:commit(1)
    local err = raises(keycycle.NoAvailableKeyError, nil, ask, { wait = false })
    assert.equal("limited", err.code)
    assert.equal("requests_per_minute", err.limit)
    assert.is_true(err.retry_after > 50 and err.retry_after <= 62)
  end)

  it("raises at once on a manual clock outside of a task", function()
    with({ limits = { requests_per_minute = 1 } }, keycycle.clock.manual(1000))
    wrapper:get_manager("p"):get_key("m"):commit(1)
    local err = raises(keycycle.NoAvailableKeyError, nil, ask, { timeout = 100 })
    assert.is_true(err.retry_after > 50)
  end)

  it("waits for its turn inside a task, by the wrapper's clock", function()
    local clock = keycycle.clock.manual(1000)
    with({ limits = { requests_per_minute = 1 } }, clock)
    wrapper:get_manager("p"):get_key("m"):commit(1)
    local t = keycycle.spawn(ask, { timeout = 100 })
    keycycle.step(0)
    keycycle.step(0)
    assert.equal("waiting", t:status())
    clock:advance(62)
    local err = raises(keycycle.TransportError, nil, t.await, t)
    assert.equal("connect", err.code)
  end)

  it("does not wait for longer than it may", function()
    with({ limits = { requests_per_minute = 1 } }, keycycle.clock.manual(1000))
    wrapper:get_manager("p"):get_key("m"):commit(1)
    local t = keycycle.spawn(ask, { timeout = 5 })
    keycycle.step(0)
    assert.is_true(keycycle.is(raises(keycycle.NoAvailableKeyError, nil, t.await, t),
      keycycle.KeycycleKeyError))
  end)

  it("names the limit that it can never fit into", function()
    with { limits = { tokens_per_minute = 100 } }
    local err = raises(keycycle.RateLimitError, "tokens_per_minute", ask,
      { estimated_tokens = 101 })
    assert.equal("impossible", err.code)
    assert.equal(0, wrapper:get_manager("p"):get_global_stats().total.total_requests)
  end)

  it("says that no key is usable", function()
    with {}
    wrapper:get_manager("p"):disable(1)
    local err = raises(keycycle.InvalidKeyError, nil, ask)
    assert.equal("no_key", err.code)
  end)

  it("is refused when the wrapper stops while it waits", function()
    with({ limits = { requests_per_minute = 1 } }, keycycle.clock.manual(1000))
    wrapper:get_manager("p"):get_key("m"):commit(1)
    local t = keycycle.spawn(ask, { timeout = 100 })
    keycycle.step(0)
    wrapper:stop()
    assert.equal("closed", raises(keycycle.KeycycleError, nil, t.await, t).code)
  end)
end)

describe("keycycle.info", function()
  it("knows nothing of what is not an answer", function()
    assert.is_nil(keycycle.info {})
    assert.is_nil(keycycle.info(nil))
  end)
end)
