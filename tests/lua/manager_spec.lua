local keycycle = require "keycycle"
local core = require "keycycle.core"
local raises = require "tests.support.raises"
local task = require "keycycle.task"

local A, B = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"

describe("a manager", function()
  local wrapper, manager, clock
  before_each(function()
    clock = keycycle.clock.manual(1000000)
    wrapper = keycycle.MultiClientWrapper.new { clock = clock }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { { api_key = A, label = "first", group = "org", region = "eu" }, B },
      limits = { requests_per_minute = 2, tokens_per_minute = 100 } })
    manager = wrapper:get_manager "p"
  end)
  after_each(function() wrapper:stop() end)

  it("says so when a method is called with a dot", function()
    for _, name in ipairs { "get_key", "get_global_stats", "keys", "stop" } do
      raises(keycycle.KeycycleError, "with a colon, as manager:", manager[name], "m")
      raises(keycycle.KeycycleError, "with a colon, as manager:", manager[name])
    end
  end)

  it("counts what is reserved, then what was used", function()
    local lease = manager:get_key("m", { estimated_tokens = 40 })
    local s = manager:get_global_stats().total
    assert.same({ 1, 40, 1, 0 }, { s.rpm, s.tpm, s.in_flight, s.total_tokens })
    lease:commit { input_tokens = 10, output_tokens = 5 }
    s = manager:get_global_stats().total
    assert.same({ 1, 15, 0, 15 }, { s.rpm, s.tpm, s.in_flight, s.total_tokens })
    for _, name in ipairs { "rpm", "rph", "rpd" } do assert.equal(1, s[name]) end
    clock:advance(61)
    s = manager:get_global_stats().total
    assert.same({ 0, 1, 15 }, { s.rpm, s.rph, s.tph })
  end)

  it("has statistics by key, by model and by both", function()
    manager:get_specific_key(1, "m"):commit(3)
    manager:get_specific_key(1, "n"):commit(4)
    manager:get_specific_key(2, "n"):commit(5)
    local key = manager:get_key_stats(1)
    assert.same({ 1, "efghij", 7 }, { key.index, key.suffix, key.total.total_tokens })
    assert.equal(3, key.breakdown.m.total_tokens)
    assert.equal(4, key.breakdown.n.total_tokens)
    local model = manager:get_model_stats "n"
    assert.same({ "n", 9, 5 },
      { model.model_id, model.total.total_tokens, model.keys[2].snapshot.total_tokens })
    assert.equal(5, manager:get_granular_stats(2, "n").snapshot.total_tokens)
    assert.equal(5, manager:get_granular_stats(B, "n").snapshot.total_tokens)
    assert.equal(5, manager:get_granular_stats("fedcba", "n").snapshot.total_tokens)
    assert.equal(0, manager:get_granular_stats(2, "m").snapshot.total_requests)
  end)

  it("has nil for a key that nobody knows, and an error for key 0", function()
    assert.is_nil(manager:get_key_stats(3))
    assert.is_nil(manager:get_key_stats "nobody")
    assert.is_nil(manager:get_granular_stats(-1, "m"))
    raises(keycycle.KeyNotFoundError, "count from 1", manager.get_key_stats, manager, 0)
    raises(keycycle.KeyNotFoundError, nil, manager.get_specific_key, manager, 3, "m")
    manager:add_key "sk-another-long-one-efghij"
    assert.equal("ambiguous", raises(keycycle.KeyNotFoundError, nil, manager.get_key_stats, manager,
      "efghij").code)
  end)

  it("leases a key that tells what it is", function()
    local lease <close> = manager:get_key()
    assert.same({ A, 1, "efghij", "p", "m", "eu" }, { lease.api_key, lease.index, lease.suffix,
      lease.provider, lease.model, lease.params.region })
    assert.is_nil(tostring(lease):find(A, 1, true))
  end)

  it("says why it leases none", function()
    for _ = 1, 4 do manager:get_key("m"):commit(1) end
    local lease, why = manager:get_key "m"
    assert.is_nil(lease)
    assert.same({ "limited", "requests_per_minute" }, { why.code, why.limit })
    assert.is_true(why.retry_after > 59 and why.retry_after <= 61)
    lease, why = manager:get_key("m", { estimated_tokens = 101 })
    assert.is_nil(lease)
    assert.equal("impossible", why.code)
  end)

  it("checks its options", function()
    for word, opts in pairs { estimated = { estimated = 5 }, negative = { timeout = -1 },
      estimated_tokens = { estimated_tokens = "x" } } do
      raises(keycycle.InvalidConfigurationError, word, manager.get_key, manager, "m", opts)
    end
    raises(keycycle.InvalidConfigurationError, "table", manager.get_key, manager, "m", 5)
  end)

  it("waits for a key inside a task", function()
    for _ = 1, 4 do manager:get_key("m"):commit(1) end
    local t = keycycle.spawn(function()
      return manager:get_key("m", { wait = true, timeout = 100 })
    end)
    keycycle.step(0)
    assert.equal("waiting", t:status())
    clock:advance(5)
    assert.same({ length = 1, oldest = 5 }, manager:get_global_stats().queue)
    assert.truthy(manager:metrics():find('queue_oldest_seconds{provider="p"} 5\n', 1, true))
    clock:advance(61)
    assert.same({ length = 0, oldest = 0 }, manager:get_global_stats().queue)
    local lease <close> = t:await()
    assert.equal("m", lease.model)
  end)

  it("serves exactly the limit to two hundred tasks that hold their keys", function()
    wrapper:register_provider("q", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { A, B, "sk-test-third-0123456789" }, limits = { requests_per_minute = 20 } })
    local many, tasks, served, most = wrapper:get_manager "q", {}, 0, 0
    for i = 1, 200 do
      tasks[i] = keycycle.spawn(function()
        local lease <close> = many:get_key("m", { wait = true, timeout = 1000 })
        served = served + 1
        task.wait_clock(0.5, clock)
        lease:commit(1)
      end)
    end
    for minute = 1, 4 do
      for _ = 1, 50 do keycycle.step(0) end
      most = math.max(most, many:get_global_stats().total.rpm)
      assert.equal(math.min(60 * minute, 200), served)
      clock:advance(0.5)
      for _ = 1, 10 do keycycle.step(0) end
      clock:advance(60.5)
    end
    for _, t in ipairs(tasks) do t:await() end
    assert.equal(60, most)
  end)

  it("makes one userdata for a request, and nothing else", function()
    if os.getenv "KEYCYCLE_EAGER_GC" then return end -- collects while this counts
    local function bytes_of(fn)
      fn() -- what is made at the first use of a model
      collectgarbage()
      collectgarbage()
      collectgarbage "stop"
      local before = collectgarbage "count"
      for _ = 1, 100 do fn() end
      local bytes = (collectgarbage "count" - before) * 1024
      collectgarbage "restart"
      return bytes
    end
    wrapper:register_provider("q", { base_url = "http://127.0.0.1:1/v1", keys = { A } })
    local free, pool = wrapper:get_manager "q", core.pool { provider = "q" }
    pool:add_key { api_key = A }
    local lease = bytes_of(function() pool:acquire "m" end)
    assert.equal(lease, bytes_of(function() free:get_key("m"):commit(5) end))
    assert.is_true(lease <= 100 * 128)
  end)

  it("settles a lease once", function()
    local lease = manager:get_key "m"
    lease:commit(5)
    assert.equal("stale", raises(keycycle.KeycycleError, nil, lease.commit, lease, 5).code)
    assert.equal("stale", raises(keycycle.KeycycleError, nil, lease.cancel, lease).code)
    lease:close()
  end)

  it("gives back what was never sent, and keeps what was", function()
    manager:get_key("m", { estimated_tokens = 7 }):cancel()
    assert.equal(0, manager:get_global_stats().total.rpm)
    manager:get_key("m", { estimated_tokens = 7 }):cancel { sent = true }
    local s = manager:get_global_stats().total
    assert.same({ 1, 7, 7 }, { s.rpm, s.tpm, s.total_tokens })
  end)

  it("counts a lease that is lost as used", function()
    manager:get_key("m", { estimated_tokens = 7 })
    collectgarbage()
    collectgarbage()
    local s = manager:get_global_stats().total
    assert.same({ 0, 1, 7 }, { s.in_flight, s.rpm, s.tpm })
  end)

  it("records usage for programs with their own HTTP", function()
    manager:record_usage(manager:get_key "m", 12)
    assert.equal(12, manager:get_global_stats().total.total_tokens)
    local lease = manager:get_key "m"
    local verdict = lease:fail { status = 429, headers = { ["Retry-After"] = "30" }, body = "" }
    assert.same({ "quota", 30 }, { verdict.kind, verdict.retry_after })
    assert.equal("cooling", manager:keys()[2].state)
    assert.has_error(function() manager:get_key("m"):fail(429) end)
  end)

  it("takes a key out that was refused, as our own client does", function()
    local lease = manager:get_specific_key(1, "m")
    assert.equal("auth", lease:fail { status = 401, body = "" }.kind)
    assert.equal("suspended", manager:keys()[1].state)
    lease = manager:get_specific_key(2, "m")
    assert.equal("payment", lease:fail { status = 402, body = "" }.kind)
    assert.same({ "exhausted" }, { manager:keys()[2].state, manager:keys()[2].until_at })
  end)

  it("commits what it understands, and nothing else", function()
    local lease <close> = manager:get_key "m"
    assert.has_error(function() lease:commit { input = 5, output = 6 } end)
    assert.has_error(function() lease:commit "12" end)
    assert.has_error(function() lease:commit(-5) end)
    lease:commit { input_tokens = 5, cached_tokens = 2 }
    assert.equal(5, manager:get_global_stats().total.total_tokens)
  end)

  it("shows each key's state without the key", function()
    manager:disable(2)
    local keys = manager:keys()
    assert.same({ 1, "efghij", "first", "ready", "org" },
      { keys[1].index, keys[1].suffix, keys[1].label, keys[1].state, keys[1].group })
    assert.equal("disabled", keys[2].state)
    for _, key in ipairs(keys) do
      for _, value in pairs(key) do
        assert.is_nil(tostring(value):find("0123456789", 1, true))
        assert.is_nil(tostring(value):find("9876543210", 1, true))
      end
    end
    manager:enable(2)
    assert.equal("ready", manager:keys()[2].state)
  end)

  it("explains why a key can or cannot serve", function()
    manager:get_specific_key(1, "m"):commit(1)
    manager:get_specific_key(1, "m"):commit(1)
    manager:disable(2)
    local lines = manager:explain "m"
    assert.is_false(lines[1].usable)
    assert.is_true(lines[1].retry_after > 59)
    assert.equal(2, lines[1].used.rpm)
    assert.equal(2, lines[1].limits.requests_per_minute)
    assert.same({ "requests_per_minute", clock:now() + lines[1].retry_after },
      { lines[1].limit, lines[1].until_at })
    assert.is_false(lines[2].usable)
    assert.equal("disabled", lines[2].state)
    assert.is_nil(lines[2].retry_after)
    manager:enable(2)
    local line = manager:explain("m", 101)[2]
    assert.same({ false, "tokens_per_minute", "impossible" },
      { line.usable, line.limit, line.reason })
    line = manager:explain("m", 100)[2]
    assert.same({ true, 0 }, { line.usable, line.retry_after })
    assert.is_nil(line.limit)
  end)

  it("tells whose a state is: a model's, a key's, a group's", function()
    manager:add_key { api_key = "sk-test-another-of-org-0001", group = "org" }
    manager:get_specific_key(2, "m"):cooldown(30)
    local key = manager:keys()[2]
    assert.same({ "cooling", "model", "m" }, { key.state, key.scope, key.model })
    manager:get_specific_key(1, "m"):cooldown(90)
    for _, index in ipairs { 1, 3 } do
      key = manager:keys()[index]
      assert.same({ "exhausted", "group" }, { key.state, key.scope })
    end
    manager:enable(2)
    assert.is_nil(manager:keys()[2].scope)
    manager:disable(2)
    assert.equal("key", manager:keys()[2].scope)
  end)

  it("takes no table for a model", function()
    local wrong = keycycle.InvalidConfigurationError
    for _, name in ipairs { "get_key", "explain", "next_available" } do
      local ok, err = pcall(manager[name], manager, { model = "m" })
      assert.is_false(ok)
      assert.is_true(keycycle.is(err, wrong), tostring(err))
      assert.truthy(err.message:find("a model is a text", 1, true))
    end
  end)

  it("knows when a request can be served", function()
    assert.equal(0, manager:next_available "m")
    for _ = 1, 4 do manager:get_key("m"):commit(1) end
    local seconds = manager:next_available "m"
    assert.is_true(seconds > 59 and seconds <= 61)
    clock:advance(seconds)
    assert.equal(0, manager:next_available "m")
    assert.same({ nil, "impossible" }, { manager:next_available("m", 101) })
    manager:disable(1)
    manager:disable(2)
    assert.same({ nil, "no_key" }, { manager:next_available "m" })
  end)

  it("holds limits for all keys of a group together", function()
    wrapper:register_provider("q", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { { api_key = A, group = "org" }, { api_key = B, group = "org" } },
      limits = { requests_per_minute = 3 } })
    local grouped = wrapper:get_manager "q"
    for _ = 1, 3 do grouped:get_key():commit(1) end
    local lease, why = grouped:get_key()
    assert.is_nil(lease)
    assert.equal("requests_per_minute", why.limit)
    assert.equal(3, grouped:get_global_stats().total.rpm)
    clock:advance(61)
    grouped:get_key():cooldown(30)
    for _, key in ipairs(grouped:keys()) do assert.equal("cooling", key.state) end
    grouped:reset(2)
    for _, key in ipairs(grouped:keys()) do assert.equal("ready", key.state) end
  end)

  it("takes keys in and out while it runs", function()
    assert.equal(3, manager:add_key { api_key = "sk-test-third-0123456789", label = "third" })
    manager:remove_key(1)
    local seen = {}
    for _, key in ipairs(manager:keys()) do seen[#seen + 1] = key.index end
    assert.same({ 2, 3 }, seen)
    assert.equal(2, manager:get_key("m").index)
    raises(keycycle.InvalidConfigurationError, nil, manager.add_key, manager, "")
  end)

  it("rotates when it is told to", function()
    assert.equal(1, manager:get_key("a").index)
    manager:force_rotate_index()
    assert.equal(2, manager:get_key("a").index)
  end)

  it("tells its counts as Prometheus text", function()
    manager:get_key("m"):commit(5)
    local text = manager:metrics()
    assert.truthy(text:find('keycycle_tokens_total{provider="p",key="1"} 5', 1, true))
    assert.truthy(text:find("# TYPE keycycle_in_flight gauge", 1, true))
    assert.is_nil(text:find("efghij", 1, true))
  end)
end)
