local files = require "tests.support.files"
local handed = require "keycycle.handed"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local A, B = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"
local URL = "http://127.0.0.1:1/v1"

local function make(more)
  local opts = { provider = "p", base_url = URL, keys = { A, B }, default_model_id = "m",
    db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
  for k, v in pairs(more or {}) do opts[k] = v end
  return keycycle.MultiProviderWrapper.new(opts)
end

local function sink()
  local out = { text = "" }
  function out:write(...) self.text = self.text .. table.concat { ... } end
  function out:has(text) assert.truthy(self.text:find(text, 1, true), self.text) end
  function out:lacks(text) assert.is_nil(self.text:find(text, 1, true), self.text) end
  return out
end

-- Calls fn for a value and all that its tables hold, keys too.
local function each_value(value, fn, seen)
  seen = seen or {}
  fn(value)
  if type(value) ~= "table" or seen[value] then return end
  seen[value] = true
  for k, v in next, value do
    each_value(k, fn, seen)
    each_value(v, fn, seen)
  end
end

describe("MultiProviderWrapper.from_env", function()
  local function from(text, opts)
    return files.with(text, function(path)
      opts.env_file = path
      return keycycle.MultiProviderWrapper.from_env(opts)
    end)
  end

  it("takes the options of both in one table", function()
    local clock = keycycle.clock.manual(1000)
    local wrapper <close> = from("KCA_API_KEY_1=" .. A .. "\nKCA_API_KEY_2=" .. B, {
      provider = "kca", default_model_id = "m", base_url = URL, clock = clock,
      limits = { requests_per_minute = 1 }, selection = "fill_first" })
    assert.equal("MultiProviderWrapper (kca)", tostring(wrapper))
    assert.same({ "kca", "m", 2 },
      { wrapper.provider, wrapper.default_model_id, #wrapper.manager:keys() })
    assert.equal("m", wrapper:get_key_usage().model)
    assert.equal(1, wrapper.manager:explain()[1].limits.requests_per_minute)
  end)

  it("reads extra parameters", function()
    local wrapper <close> = from("KCA_API_KEY_1=" .. A .. "\nKCA_INDEX_ID_1=idx_abc123",
      { provider = "kca", base_url = URL, extra_params = { "index_id" } })
    assert.same({ index_id = "idx_abc123" }, wrapper:get_key_usage().params)
  end)

  it("refuses what it does not know, and lists what it does", function()
    local err = raises(Invalid, '"modell"', from, "", { provider = "p", modell = "m" })
    for name in ("provider default_model_id clock db_url limits key_limits base_url"):gmatch "%S+"
    do
      assert.truthy(err.message:find(name, 1, true), name)
    end
    raises(Invalid, "needs provider", from, "", {})
    raises(Invalid, "needs provider", from, "", { provider = 5 })
    raises(Invalid, "not a string", keycycle.MultiProviderWrapper.from_env, "openai")
    raises(Invalid, "transport must be a table", from, "", { provider = "p", transport = "x" })
    raises(Invalid, "default_model_id must be", from, "", { provider = "p", default_model_id = 5 })
    raises(Invalid, "differ", from, "", { provider = "p", default_model_id = "a",
      default_model = "b" })
    raises(Invalid, "from the environment", from, "", { provider = "p", keys = { A } })
    raises(keycycle.MissingEnvironmentVariableError, "KCA", from, "",
      { provider = "kca", base_url = URL })
  end)

  it("takes the model under its other name", function()
    local wrapper <close> = from("KCA_API_KEY_1=" .. A, { provider = "kca", base_url = URL,
      default_model = "n" })
    assert.equal("n", wrapper.default_model_id)
  end)
end)

describe("MultiProviderWrapper.new", function()
  it("leaves nothing behind where it fails", function()
    raises(Invalid, "keys[1]", make, { keys = { "sk-..." } })
    raises(keycycle.ConfigurationError, nil, make, { db_url = "nonsense" })
  end)
end)

describe("the clients of one provider", function()
  it("come with and without a class and options", function()
    local wrapper <close> = make()
    local C = keycycle
    assert.equal("keycycle client of p", tostring(wrapper:get_openai_client()))
    assert.equal("keycycle client of p",
      tostring(wrapper:get_openai_client { estimated_tokens = 1000, max_retries = 5 }))
    assert.equal("keycycle async client of p",
      tostring(wrapper:get_async_openai_client { estimated_tokens = 1000, max_retries = 5 }))
    assert.equal("keycycle client of p", tostring(wrapper:get_rotating_client()))
    assert.equal("keycycle client of p", tostring(wrapper:get_rotating_client { timeout = 1 }))
    assert.equal("keycycle async client of p",
      tostring(wrapper:get_rotating_client(C.AsyncGroq, { timeout = 1 })))
    raises(Invalid, "time_out", wrapper.get_openai_client, wrapper, { time_out = 1 })
    raises(keycycle.TransportError, nil, wrapper.preconnect, wrapper)
  end)

  it("speak as OpenAI only where the provider does", function()
    local wrapper <close> = keycycle.MultiProviderWrapper.new { provider = "anthropic",
      keys = { A }, db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
    raises(Invalid, "does not speak as OpenAI", wrapper.get_openai_client, wrapper)
    raises(Invalid, "does not speak as OpenAI", wrapper.get_async_openai_client, wrapper)
    assert.truthy(wrapper:get_rotating_client(keycycle.Anthropic).messages)
  end)
end)

describe("a key for a program of its own", function()
  local wrapper, clock
  before_each(function()
    clock = keycycle.clock.manual(1000)
    wrapper = make { clock = clock, selection = "fill_first" }
  end)
  after_each(function() wrapper:stop() end)

  local function used(id, model)
    local s = wrapper.manager:get_granular_stats(id, model or "m").snapshot
    return { s.total_requests, s.total_tokens, s.in_flight }
  end

  it("is a lease, by default of the default model", function()
    local lease <close> = wrapper:get_key_usage { estimated_tokens = 50 }
    assert.same({ "m", 50, A }, { lease.model, lease.tokens, lease.api_key })
    assert.same({ 1, 0, 1 }, used(1))
    lease:commit(7)
    assert.same({ 1, 7, 0 }, used(1))
    assert.equal("n", wrapper:get_key_usage { model_id = "n" }.model)
    assert.equal("n", wrapper:get_key_usage { model = "n" }.model)
  end)

  it("is the one that is named and no other", function()
    assert.equal(2, wrapper:get_key_usage { key_id = 2 }.index)
    assert.equal(2, wrapper:get_key_usage { key_id = B:sub(-6) }.index)
    wrapper.manager:disable(2)
    raises(keycycle.InvalidKeyError, nil, wrapper.get_key_usage, wrapper, { key_id = 2 })
    assert.equal(1, wrapper:get_key_usage { key_id = 2, pin_key = false }.index)
    raises(keycycle.KeyNotFoundError, nil, wrapper.get_key_usage, wrapper, { key_id = 7 })
    raises(keycycle.KeyNotFoundError, "count from 1", wrapper.get_key_usage, wrapper,
      { key_id = 0 })
  end)

  it("is refused with the error that says why", function()
    wrapper:stop()
    wrapper = make { clock = clock, limits = { requests_per_minute = 1, tokens_per_minute = 100 } }
    for _ = 1, 2 do wrapper:get_key_usage():commit(1) end
    local err = raises(keycycle.NoAvailableKeyError, "requests_per_minute", wrapper.get_api_key,
      wrapper, { wait = false })
    assert.same({ "p", "m" }, { err.provider, err.model })
    assert.is_true(err.retry_after > 50)
    raises(keycycle.NoAvailableKeyError, nil, wrapper.get_api_key, wrapper)
    raises(keycycle.RateLimitError, "tokens_per_minute", wrapper.get_api_key, wrapper,
      { estimated_tokens = 101 })
  end)

  it("is waited for inside a task", function()
    wrapper:stop()
    wrapper = make { clock = clock, keys = { A }, limits = { requests_per_minute = 1 } }
    wrapper:get_key_usage():commit(1)
    local task = keycycle.spawn(wrapper.get_api_key, wrapper, { timeout = 100 })
    keycycle.step(0)
    assert.equal("waiting", task:status())
    clock:advance(62)
    assert.equal(A, task:await())
  end)

  it("is checked before one is taken", function()
    for word, opts in pairs { ['"tokens"'] = { tokens = 5 }, estimated_tokens = {
      estimated_tokens = "5" }, ["must be the name"] = { model_id = 5 }, differ = {
      model_id = "a", model = "b" }, key_id = { pin_key = true } } do
      raises(Invalid, word, wrapper.get_api_key, wrapper, opts)
    end
    raises(Invalid, "a table", wrapper.get_api_key, wrapper, "m")
    assert.equal(0, wrapper.manager:get_global_stats().total.total_requests)
  end)

  it("is a text that stays counted in flight until it is recorded", function()
    local key = wrapper:get_api_key { estimated_tokens = 500 }
    assert.equal(A, key)
    collectgarbage()
    collectgarbage()
    assert.same({ 1, 0, 1 }, used(1))
    wrapper:record_key_usage(key, { model_id = "m", actual_tokens = 450 })
    assert.same({ 1, 450, 0 }, used(1))
    assert.equal(450, wrapper.manager:get_global_stats().total.tpm)
  end)

  it("is recorded with what is known: actual, else estimated, else reserved tokens", function()
    for i, opts in ipairs { { actual_tokens = 3, estimated_tokens = 9 }, { actual_tokens = 0 },
      { estimated_tokens = 9 }, false } do
      local key = wrapper:get_api_key { estimated_tokens = 100 }
      local before = used(1)[2]
      wrapper:record_key_usage(key, opts or nil)
      assert.equal(({ 3, 0, 9, 100 })[i], used(1)[2] - before)
    end
    assert.same({ 4, 112, 0 }, used(1))
  end)

  it("settles the oldest of its model first", function()
    local key = wrapper:get_api_key { model = "m", estimated_tokens = 10 }
    wrapper:get_api_key { model = "n", estimated_tokens = 20 }
    wrapper:get_api_key { model = "m", estimated_tokens = 30 }
    wrapper:record_key_usage(key, { model_id = "n", actual_tokens = 1 })
    assert.same({ { 2, 0, 2 }, { 1, 1, 0 } }, { used(1), used(1, "n") })
    assert.equal(40, wrapper.manager:get_granular_stats(1, "m").snapshot.tpm)
    wrapper:record_key_usage(key, { model_id = "m", actual_tokens = 1 })
    assert.equal(31, wrapper.manager:get_granular_stats(1, "m").snapshot.tpm)
    wrapper:record_key_usage(key, { actual_tokens = 2 })
    assert.same({ { 2, 3, 0 }, { 1, 1, 0 } }, { used(1), used(1, "n") })
  end)

  it("leaves the program's own lease for the last, and settles nothing twice", function()
    local key, lease = wrapper:get_api_key_with_context { estimated_tokens = 10 }
    assert.equal(key, lease.api_key)
    wrapper:get_api_key { estimated_tokens = 20 }
    wrapper:record_key_usage(key, { actual_tokens = 5 })
    assert.is_false(lease.settled)
    assert.equal(15, wrapper.manager:get_granular_stats(1, "m").snapshot.tpm)
    wrapper:record_key_usage(key, { actual_tokens = 6 })
    assert.is_true(lease.settled)
    assert.same({ 2, 11, 0 }, used(1))
    local _, other = wrapper:get_api_key_with_context()
    other:commit(4)
    wrapper:record_key_usage(key, { actual_tokens = 1 }) -- none is out: one more
    assert.same({ 4, 16, 0 }, used(1))
  end)

  it("with a lease that is dropped is settled as unknown", function()
    wrapper:get_api_key_with_context { estimated_tokens = 10 }
    collectgarbage()
    collectgarbage()
    assert.same({ 1, 10, 0 }, used(1))
  end)

  it("is counted as a request of its own where no lease is out, whatever its state", function()
    wrapper:record_key_usage(B, { actual_tokens = 40 })
    assert.same({ 1, 40, 0 }, used(2))
    wrapper.manager:disable(2)
    wrapper:record_key_usage(B, { model_id = "n", actual_tokens = 2 })
    assert.same({ 1, 2, 0 }, used(2, "n"))
    assert.equal("disabled", wrapper.manager:keys()[2].state)
  end)

  it("ends by its age, and what is recorded later is another request", function()
    local key = wrapper:get_api_key { estimated_tokens = 10 }
    clock:advance(601)
    assert.same({ 1, 10, 0 }, used(1))
    wrapper:record_key_usage(key, { actual_tokens = 3 })
    assert.same({ 2, 13, 0 }, used(1))
  end)

  it("is recorded though it was removed meanwhile", function()
    local key = wrapper:get_api_key()
    wrapper.manager:remove_key(1)
    wrapper:record_key_usage(key, { actual_tokens = 3 })
    assert.equal(3, wrapper.manager:get_global_stats().total.total_tokens)
    assert.equal(0, wrapper.manager:get_global_stats().total.in_flight)
  end)

  it("is not held for ever where nobody records", function()
    local few = handed.new(3)
    for i = 1, 5 do few:keep(wrapper:get_key_usage { key_id = 1, estimated_tokens = i }, false) end
    assert.same({ 5, 1 + 2, 3 }, used(1)) -- the first two ended as unknown
    assert.is_true(few:settle(1, nil, 10))
    assert.same({ 5, 3 + 10, 2 }, used(1))
    few:close()
    assert.same({ 5, 13 + 4 + 5, 0 }, used(1))
    assert.is_false(few:settle(1))
  end)

  it("refuses a record that is none, before anything is settled", function()
    local key = wrapper:get_api_key()
    for word, opts in pairs { ['"tokens"'] = { tokens = 5 }, actual_tokens = {
      actual_tokens = -1 }, estimated_tokens = { estimated_tokens = 1.5 }, ["a table"] = 5,
      ["must be the name"] = { model_id = 5 } } do
      raises(Invalid, word, wrapper.record_key_usage, wrapper, key, opts)
    end
    local err = raises(keycycle.KeyNotFoundError, nil, wrapper.record_key_usage, wrapper,
      "sk-test-of-somebody-else", { actual_tokens = 1 })
    assert.is_nil(tostring(err):find("somebody", 1, true))
    raises(keycycle.KeyNotFoundError, nil, wrapper.record_key_usage, wrapper, nil)
    assert.same({ 1, 0, 1 }, used(1))
  end)

  it("is in no field of the wrapper", function()
    wrapper:get_api_key()
    each_value(wrapper.handed, function(value)
      assert.is_nil(tostring(value):find(A, 1, true))
    end)
  end)
end)

describe("the printed tables", function()
  local wrapper, out
  before_each(function()
    wrapper = make { keys = { A, B, "short" }, selection = "fill_first",
      limits = { requests_per_minute = 4 } }
    wrapper:record_key_usage(A, { actual_tokens = 1234567 })
    out = sink()
  end)
  after_each(function() wrapper:stop() end)

  it("show every key", function()
    wrapper.manager:disable(2)
    assert.equal(0, select("#", wrapper:print_global_stats(out)))
    for _, text in ipairs { "p, all keys", "efghij", "1,234,567 / 1,234,567 / 1,234,567",
      "###....... 25% req/min of m", "ready", "disabled",
      "together: 1 requests, 1,234,567 tokens, 0 in flight" } do
      out:has(text)
    end
    out:lacks "0123456789"
    out:lacks "short"
    out:lacks "\27"
  end)

  it("show one key by model", function()
    wrapper:print_key_stats(1, out)
    out:has "p, key 1 (efghij), ready"
    out:has "m      1 / 1 / 1"
    for _, id in ipairs { "efghij", A } do
      local same = sink()
      wrapper:print_key_stats(id, same)
      assert.equal(out.text, same.text)
    end
    local other = sink()
    wrapper:print_key_stats(3, other)
    other:has "key 3 (-)"
    other:has "nothing has been used of it yet"
  end)

  it("show one model by the keys that served it", function()
    wrapper:print_model_stats("m", out)
    out:has "p, model m"
    out:has "efghij"
    out:lacks "fedcba"
    local other = sink()
    wrapper:print_model_stats("x", other)
    other:has "no key has served it yet"
  end)

  it("show one key and model, each window beside its limit", function()
    wrapper:print_granular_stats(1, "m", out)
    out:has "p, key 1 (efghij), ready, model m"
    out:has "req/min   1          4      #####............... 25%"
    out:has "tok/day   1,234,567  -      no limit"
  end)

  it("count all models of a key where its limits are theirs together", function()
    local global <close> = make { strategy = "global", limits = { requests_per_minute = 4 } }
    global:record_key_usage(A, { model_id = "m", actual_tokens = 1 })
    global:record_key_usage(A, { model_id = "n", actual_tokens = 1 })
    global:print_global_stats(out)
    out:has "#####..... 50% req/min  ready"
    global:print_key_stats(1, out)
    out:has "n      1 / 1 / 1"
  end)

  it("say that there is no such key, and do not repeat what may be one", function()
    for _, print_it in ipairs {
      function(id) wrapper:print_key_stats(id, out) end,
      function(id) wrapper:print_granular_stats(id, "m", out) end,
    } do
      out.text = ""
      print_it(7)
      assert.equal("p: there is no key 7\n", out.text)
      print_it "sk-test-of-somebody-else"
      out:has "p: no key is or ends so"
      out:lacks "somebody"
      print_it(0)
      out:has "keys count from 1"
    end
  end)

  it("go to a file, and nowhere else than to what can be written to", function()
    files.with("", function(path)
      local f <close> = io.open(path, "w")
      wrapper:print_global_stats(f)
      f:flush()
      local g <close> = io.open(path)
      out.text = g:read "a"
    end)
    out:has "p, all keys"
    raises(Invalid, "method write", wrapper.print_global_stats, wrapper, 5)
    raises(Invalid, "method write", wrapper.print_key_stats, wrapper, 1, {})
    raises(Invalid, "a model is a text", wrapper.print_model_stats, wrapper)
    raises(Invalid, "a model is a text", wrapper.print_granular_stats, wrapper, 1)
  end)
end)

describe("a wrapper of one provider", function()
  it("has the log say everything, or as before", function()
    local wrapper <close> = make()
    keycycle.log.set_level "error"
    assert.is_true(wrapper:toggle_debug(true))
    assert.is_true(wrapper:toggle_debug(true))
    assert.equal("debug", keycycle.log.level())
    assert.is_false(wrapper:toggle_debug(false))
    assert.equal("error", keycycle.log.level())
    assert.is_true(wrapper:toggle_debug())
    assert.is_false(wrapper:toggle_debug())
    assert.is_false(wrapper:toggle_debug(false))
    assert.equal("error", keycycle.log.level())
    keycycle.log.set_level "warn"
  end)

  it("stops once, and refuses from then on", function()
    local wrapper = make()
    local client = wrapper:get_openai_client()
    local key = wrapper:get_api_key { estimated_tokens = 5 }
    local stats = wrapper.manager:get_global_stats().total
    assert.equal(1, stats.in_flight)
    wrapper:stop()
    wrapper:stop()
    assert.equal("MultiProviderWrapper (p, stopped)", tostring(wrapper))
    for _, fn in ipairs {
      function() wrapper:get_api_key() end, function() wrapper:get_openai_client() end,
      function() wrapper:record_key_usage(key, { actual_tokens = 1 }) end,
      function() wrapper:print_global_stats(sink()) end,
      function() wrapper:print_key_stats(1, sink()) end,
      function() wrapper:preconnect() end,
      function() client.chat.completions:create { messages = {} } end,
    } do
      assert.equal("closed", raises(keycycle.KeycycleError, nil, fn).code)
    end
  end)

  it("writes what was handed out and never recorded", function()
    local folder, remove = files.folder()
    local url = "sqlite:" .. folder .. "/x.db"
    local wrapper = make { db_url = url }
    wrapper:get_api_key { estimated_tokens = 5 }
    wrapper:record_key_usage(A, { model_id = "other", actual_tokens = 2 })
    wrapper:stop()
    local again = make { db_url = url }
    local total = again.manager:get_global_stats().total
    assert.same({ 2, 7 }, { total.rpd, total.tpd })
    again:stop()
    remove()
  end)
end)

describe("a dump", function()
  it("of a wrapper shows no key", function()
    local wrapper <close> = make()
    each_value(wrapper, function(value)
      if type(value) == "string" then
        assert.is_nil(value:find("0123456789", 1, true) or value:find("9876543210", 1, true))
      end
    end)
  end)
end)
