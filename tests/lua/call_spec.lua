--- What a call does after a failure, with attempts that a test answers itself.
local keycycle = require "keycycle"
local attempt = require "keycycle.call.attempt"
local core = require "keycycle.core"
local raises = require "tests.support.raises"
local scripts = require "keycycle.loader.scripts"
local task = require "keycycle.task"

local KEYS = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
  "sk-test-aaaaabbbbbcccccddddd" }
local real, wrapper, client, manager, clock
local tried -- list of { key =, at = }, as attempts begin
local began

local function ok()
  return { ok = true, status = 200, headers = {}, decoded = { usage = { total_tokens = 5 } } }
end

local function refusal(status, message, headers)
  return { status = status, headers = headers or {}, sent = true, message = message or "no",
    body = keycycle.json.encode { error = { message = message or "no" } } }
end

-- A provider "p" whose answers are `answer(key index, n)`, after 10 ms of the clock.
local function start(answer, config, opts, policies)
  local own = {}
  for name, given in pairs(policies or {}) do own[name] = keycycle.policy(given) end
  scripts.replace { provider = {}, policy = own, limits = {} }
  clock, tried = keycycle.clock.manual(1e9), {}
  began = clock:now()
  wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE",
    clock = clock }
  local all = { base_url = "http://127.0.0.1:1/v1", keys = KEYS, default_model = "m" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider("p", all)
  client, manager = wrapper:get_rotating_client("p", opts), wrapper:get_manager "p"
  attempt.run = function(_, lease)
    tried[#tried + 1] = { key = lease.index, at = clock:now() - began }
    local n = #tried
    if task.may_yield() then
      local timer <close> = core.timer(0.01, clock)
      task.wait(timer)
    end
    return answer(lease.index, n)
  end
end

local function ask(opts)
  return client.chat.completions:create({ messages = { { role = "user", content = "hi" } } }, opts)
end

-- Runs `n` calls side by side, the clock in steps of 10 ms, until all have ended.
local function side_by_side(n, opts, most)
  local tasks = {}
  for i = 1, n do tasks[i] = keycycle.spawn(ask, opts) end
  for _ = 1, (most or 60) * 100 do
    local left = false
    for _, t in ipairs(tasks) do left = left or not t.done end
    if not left then return tasks end
    keycycle.step(0)
    clock:advance(0.01)
  end
  error "the calls did not end"
end

local function alone(opts)
  return side_by_side(1, opts)[1]
end

local function keys_of(list)
  local out = {}
  for i, one in ipairs(list) do out[i] = one.key_index or one.key end
  return out
end

before_each(function()
  real = attempt.run
  keycycle.log.set_sink(function() end)
end)
after_each(function()
  attempt.run = real
  keycycle.log.set_sink(nil)
  wrapper:stop()
end)

describe("a call that was refused", function()
  it("tells its policy all that is known of the failure", function()
    local seen
    start(function() return refusal(429, "slow down", { ["retry-after"] = "30" }) end, nil,
      { policy = function(f)
        seen = f
        return "fail"
      end })
    raises(keycycle.RateLimitError, nil, ask, { deadline = 60 })
    assert.is_true(seen.elapsed >= 0 and seen.elapsed < 60)
    assert.is_true(seen.remaining > 0 and seen.remaining <= 60)
    seen.elapsed, seen.remaining = nil, nil
    assert.same({ kind = "quota", scope = "model", retry_after = 30, status = 429, provider = "p",
      model = "m", key_index = 1, attempt = 1, key_attempt = 1, keys_ready = 2,
      streaming = false }, seen)
  end)

  it("lets a key rest that asked to be left alone, where its policy goes on to another", function()
    start(function() return refusal(429, "slow down", { ["retry-after"] = "2" }) end, nil,
      { policy = function() return "rotate" end, wait = false })
    assert.equal(2, raises(keycycle.NoAvailableKeyError, nil, ask).retry_after)
    assert.same({ 1, 2, 3 }, keys_of(tried))
    for _, key in ipairs(manager:explain "m") do
      assert.near(2, key.retry_after, 0.1)
      assert.is_false(key.usable)
    end
  end)

  it("counts as ready the other keys that could serve, of which a pinned one has none", function()
    local seen = {}
    start(function() return refusal(401) end, nil, { policy = function(f)
      seen[#seen + 1] = f.keys_ready
      return f.attempt < 3 and "disable" or "fail"
    end })
    raises(keycycle.InvalidKeyError, nil, ask)
    assert.same({ 2, 1, 0 }, seen)
    manager:reset(1)
    raises(keycycle.InvalidKeyError, nil, ask, { key_id = 1, pin_key = true })
    assert.equal(0, seen[4])
  end)

  it("says of each try what was done next", function()
    start(function(_, n) return n == 1 and refusal(500) or n == 2 and refusal(429) or ok() end)
    local t = alone()
    local list = keycycle.info(t:await()).attempts
    assert.same({ "retry", "rotate" }, { list[1].action, list[2].action })
    assert.is_true(list[1].waited >= 0.125)
    assert.equal(0, list[2].waited)
    assert.is_nil(list[3].action)
  end)

  it("has the retries that it is given, else its policy's, else five", function()
    start(function() return refusal(500) end)
    local mine = { decide = function() return "retry", 0 end }
    local function tries(opts)
      tried = {}
      raises(keycycle.APIError, nil, ask, opts)
      return #tried
    end
    assert.equal(6, tries { policy = mine })
    mine.max_retries = 2
    assert.equal(3, tries { policy = mine })
    assert.equal(2, tries { policy = mine, max_retries = 1 })
    assert.equal(1, tries { policy = "fail_fast", max_retries = 4 })
  end)

  it("is decided by the policy of the call, the client, the provider, in this order", function()
    local asked = {}
    local function named(name)
      return { name = name, decide = function()
        asked[#asked + 1] = name
        return "fail"
      end }
    end
    start(function() return refusal(500) end, { policy = named "provider's" })
    raises(keycycle.APIError, nil, ask)
    client = wrapper:get_rotating_client("p", { policy = named "client's" })
    raises(keycycle.APIError, nil, ask)
    raises(keycycle.APIError, nil, ask, { policy = named "call's" })
    assert.same({ "provider's", "client's", "call's" }, asked)
    raises(keycycle.InvalidConfigurationError, "default, fail_fast, patient",
      wrapper.get_rotating_client, wrapper, "p", { policy = "hasty" })
    raises(keycycle.InvalidConfigurationError, "hasty", ask, { policy = "hasty" })
  end)

  it("has its policy looked up by name when it is made", function()
    start(function(key) return key == 1 and refusal(429) or ok() end, { policy = "mine_alone" },
      nil, { mine_alone = { decide = function() return "fail" end } })
    raises(keycycle.RateLimitError, nil, ask)
    scripts.replace { provider = {}, limits = {},
      policy = { mine_alone = keycycle.policy { decide = function() return "rotate" end } } }
    manager:reset(1)
    ask()
    scripts.replace { provider = {}, policy = {}, limits = {} }
    raises(keycycle.InvalidConfigurationError, "mine_alone", ask)
  end)

  it("goes on by the default where a policy gives no sense", function()
    for _, wrong in ipairs {
      function() return "explode" end, function() return "retry", -1 end,
      function() return "retry", "soon" end, function() error {} end, function() return 5 end,
      function(f) return f.nothing.more end, function() end,
    } do
      start(function(key) return key == 1 and refusal(429) or ok() end, nil, { policy = wrong })
      assert.same({ 1, 2 }, keys_of(keycycle.info(ask()).attempts))
      wrapper:stop()
    end
  end)

  it("waits for what its policy says before it rotates, too", function()
    start(function(key) return key == 1 and refusal(400) or ok() end, nil,
      { policy = function() return "rotate", 3 end })
    local info = keycycle.info(alone():await())
    assert.equal(3, info.waited)
    assert.is_true(tried[2].at - tried[1].at >= 3)
  end)

  it("waits no longer than its deadline allows", function()
    start(function() return refusal(503, nil, { ["retry-after"] = "30" }) end)
    local err = raises(keycycle.APIError, nil, ask, { deadline = 10 })
    assert.same({ "overloaded", 1 }, { err.code, #err.attempts })
  end)
end)

describe("a call with a named policy", function()
  local function limited_first(seconds)
    return function(key, n)
      return key == 1 and n == 1 and refusal(429, nil, { ["retry-after"] = seconds }) or ok()
    end
  end

  it("is patient with a short limit, on the same key", function()
    start(limited_first "5", nil, { policy = "patient" })
    -- "5" is short enough to be no quota; the patient one waits either way.
    local info = keycycle.info(alone():await())
    assert.same({ 1, 1 }, keys_of(info.attempts))
    assert.is_true(info.waited >= 5 and info.waited < 7)
    wrapper:stop()
    start(limited_first "10", nil, { policy = "patient" })
    info = keycycle.info(alone():await())
    assert.same({ 1, 1 }, keys_of(info.attempts))
    assert.equal("quota", info.attempts[1].kind)
  end)

  it("fails fast, without any wait", function()
    start(function(key) return refusal(key == 3 and 503 or 429) end, nil, { policy = "fail_fast" })
    local err = raises(keycycle.APIError, nil, ask)
    assert.same({ 1, 2, 3 }, keys_of(err.attempts))
    assert.same({ "rotate", "rotate", "fail" }, { err.attempts[1].action, err.attempts[2].action,
      err.attempts[3].action })
  end)
end)

describe("keys that may not use a model", function()
  local function with_access(index)
    return function(key) return key == index and ok() or refusal(403, "not for this key") end
  end

  it("are passed over for it, once another one has access", function()
    start(with_access(3))
    assert.same({ 1, 2, 3 }, keys_of(keycycle.info(ask()).attempts))
    for i = 1, 2 do
      assert.same({ false, true }, { manager:explain("m")[i].usable,
        manager:explain("other")[i].usable })
    end
    clock:advance(600)
    assert.same({ 3 }, keys_of(keycycle.info(ask()).attempts))
    clock:advance(3000)
    assert.is_true(manager:explain("m")[1].usable)
  end)

  it("are no reason to give the last one up", function()
    start(with_access(0))
    for _ = 1, 3 do
      local err = raises(keycycle.APIError, nil, ask)
      assert.same({ "permission_region", 403 }, { err.code, err.status })
      assert.equal(3, err.attempts[#err.attempts].key_index)
    end
    assert.is_true(manager:explain("m")[3].usable)
    clock:advance(61)
    assert.is_true(manager:explain("m")[1].usable, "nothing was proved of it")
  end)
end)

describe("a provider that is down", function()
  local function until_then(seconds, status, headers)
    return function()
      return clock:now() - began < seconds and refusal(status or 503, "overloaded", headers) or ok()
    end
  end

  local function all_well(tasks)
    for _, t in ipairs(tasks) do t:await() end
  end

  -- The attempts that began in [from, to).
  local function between(from, to)
    local n = 0
    for _, one in ipairs(tried) do
      if one.at >= from and one.at < to then n = n + 1 end
    end
    return n
  end

  it("is not asked by all calls again and again, and they all go on when it is back", function()
    start(until_then(5), nil, { timeout = 30 })
    all_well(side_by_side(20))
    -- Without the breaker each has its own retries: some four more by then.
    assert.equal(20, between(0, 0.1))
    assert.is_true(between(0.1, 5) <= 5, "asked " .. between(0.1, 5) .. " times")
    assert.is_true(between(5, 60) == 20)
    for i, key in ipairs(manager:keys()) do assert.equal("ready", key.state, i) end
    assert.equal(0, manager:get_global_stats().total.in_flight)
  end)

  it("is looked at by one call at a time", function()
    start(until_then(8), nil, { timeout = 30 })
    all_well(side_by_side(10))
    local last
    for _, one in ipairs(tried) do
      if one.at > 0.1 and one.at < 8 then
        assert.is_true(not last or one.at - last > 0.25, "at " .. one.at)
        last = one.at
      end
    end
    assert.is_number(last)
  end)

  it("fails the calls that would have to wait for too long, and says for how long", function()
    start(until_then(1000), nil, { timeout = 3 })
    local held = 0
    for _, t in ipairs(side_by_side(20)) do
      local err = raises(keycycle.APIError, nil, t.await, t)
      assert.equal("overloaded", err.code)
      if err.message:find("held back", 1, true) then
        held = held + 1
        assert.is_true(err.retry_after > 0 and err.retry_after <= 10)
        assert.equal(503, err.status)
      end
    end
    assert.is_true(held > 10)
    local before = #tried
    local err = raises(keycycle.APIError, "held back", ask, { wait = false })
    assert.same({ before, 0 }, { #tried, #err.attempts })
    assert.is_number(err.retry_at)
    raises(keycycle.APIError, "held back", ask) -- outside of a task this clock does not move
    clock:advance(11)
    raises(keycycle.APIError, nil, ask, { max_retries = 0 })
    assert.equal(before + 1, #tried)
  end)

  it("costs a caller who is alone nothing beside the pauses of its policy", function()
    start(until_then(1000))
    for _ = 1, 4 do
      local t = alone { max_retries = 5 }
      local err = raises(keycycle.APIError, nil, t.await, t)
      local sum = 0
      for _, one in ipairs(err.attempts) do sum = sum + one.waited end
      assert.equal(6, #err.attempts)
      local took = tried[#tried].at - tried[#tried - 5].at
      assert.is_true(took <= sum + 0.2, took .. " s for pauses of " .. sum)
    end
  end)

  it("is not what limits, dead keys and bad requests make of it", function()
    for _, status in ipairs { 400, 401, 402, 403, 404, 429 } do
      start(function() return refusal(status) end, nil, { max_retries = 0 })
      for _ = 1, 3 do
        for _, t in ipairs(side_by_side(6, { wait = false })) do
          local _, err = keycycle.try(t.await, t)
          assert.is_nil(err.message:find("held back", 1, true), status)
        end
      end
      wrapper:stop()
    end
  end)

  it("is not what lacks one model alone", function()
    start(function() return refusal(503) end, nil, { max_retries = 0 })
    do
      local lease <close> = manager:get_key()
      require "keycycle.entry".of(lease).adapter.classify = {
        { status = 503, kind = "overloaded", scope = "model" } }
    end
    for _, t in ipairs(side_by_side(12)) do keycycle.try(t.await, t) end
    assert.equal(12, #tried)
    raises(keycycle.APIError, nil, ask)
    assert.equal(13, #tried)
  end)

  it("counts who cannot be reached, and no other fault of the transport", function()
    local code
    local function broken()
      return { transport = true, sent = false, err = { code = code, message = "m" } }
    end
    for given, held in pairs { connect = true, resolve = true, cut = true, timeout = false,
      tls = false, garbage = false } do
      code = given
      start(broken, nil, { max_retries = 0 })
      for _, t in ipairs(side_by_side(6)) do keycycle.try(t.await, t) end
      local err = raises(keycycle.KeycycleError, nil, ask, { wait = false })
      assert.equal(held, err.message:find("held back", 1, true) ~= nil, given)
      wrapper:stop()
    end
  end)

  it("lets another call look where the one that did was cancelled", function()
    local hang = true
    start(function(_, n)
      while hang and n > 6 do keycycle.sleep(0.001) end
      return n <= 6 and refusal(503) or ok()
    end, nil, { timeout = 60 })
    for _, t in ipairs(side_by_side(6, { max_retries = 0 })) do keycycle.try(t.await, t) end
    clock:advance(1)
    local first, second = keycycle.spawn(ask), keycycle.spawn(ask)
    for _ = 1, 20 do
      keycycle.step(0.002)
      clock:advance(0.01)
    end
    assert.equal(7, #tried)
    hang = false
    first:cancel()
    for _ = 1, 20 do
      keycycle.step(0.002)
      clock:advance(0.01)
    end
    assert.equal(8, #tried)
    second:await()
    raises(keycycle.CancelledError, nil, first.await, first)
  end)
end)
