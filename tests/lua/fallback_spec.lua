--- Fallback chains, with attempts that a test answers itself: who is asked, in what order,
--- how often and after what waits, and what is raised.
local keycycle = require "keycycle"
local attempt = require "keycycle.call.attempt"
local hold = require "keycycle.call.hold"
local raises = require "tests.support.raises"

local real, wrapper, clock, chain
local tried -- "a1", "b2": provider and key of each attempt

local function said(text)
  return { choices = { { message = { content = text }, finish_reason = "stop" } } }
end

local function refusal(status, headers, message)
  return { status = status, headers = headers or {}, sent = true, message = message or "no",
    body = keycycle.json.encode { error = { message = message or "no" } } }
end

local function later(seconds) return refusal(429, { ["retry-after"] = tostring(seconds) }) end
local function down()
  return { transport = true, sent = false, err = { code = "connect", message = "refused" } }
end
local function broken() return refusal(500) end
local function dead() return refusal(401) end
local function too_long()
  return refusal(400, nil, "This model's maximum context length is 8192 tokens")
end

-- Providers whose answers are `answers[name](key, n)`: a text, or a failed result. `configs`
-- by name; three keys each where nothing is said.
local function start(answers, configs)
  clock, tried = keycycle.clock.manual(1e9), {}
  wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE",
    clock = clock }
  for name in pairs(answers) do
    local config = { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      selection = "fill_first" }
    for k, v in pairs((configs or {})[name] or {}) do config[k] = v end
    config.keys = {}
    for i = 1, config.n or 3 do config.keys[i] = ("sk-%s-0123456789abcdef-%d"):format(name, i) end
    config.n = nil
    wrapper:register_provider(name, config)
  end
  attempt.run = function(run, lease)
    local name = run.entry.name
    tried[#tried + 1] = name .. lease.index
    local answer = answers[name](lease.index, #tried)
    if type(answer) == "table" then return answer end
    return { ok = true, status = 200, headers = {}, body = "", decoded = said(answer) }
  end
end

local function fallback(given)
  chain = wrapper:fallback(given)
  return chain
end

-- Asks in a task, the clock moved on in steps of 50 ms: the task, and the seconds it took.
local function ask(opts)
  local began = clock:now()
  local t = chain:ainvoke("Hi", opts)
  for _ = 1, 4000 do
    keycycle.step(0)
    if t.done then return t, clock:now() - began end
    clock:advance(0.05)
  end
  error "the chain did not end"
end

local function answer(opts)
  local t, seconds = ask(opts)
  local response = t:await()
  return response.content, keycycle.info(response), seconds
end

local function refused(class, word, opts)
  local t = ask(opts)
  return raises(class, word, t.await, t)
end

local function trail(attempts, field)
  local out = {}
  for i, one in ipairs(attempts) do out[i] = one[field] or false end
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

describe("a chain", function()
  it("asks the first that can answer, and tells who it was", function()
    start { a = function() return "I am a" end, b = function() return "I am b" end }
    fallback { "a/large", "b/some/model" }
    local text, info = answer()
    assert.same({ "I am a", "a", "large", { "a1" } }, { text, info.provider, info.model, tried })
    assert.same({ { provider = "a", model = "large", key_index = 1, status = 200, kind = "ok",
      waited = 0 } }, info.attempts)
    assert.equal("fallback over a/large, b/some/model", tostring(chain))
  end)

  it("names a model by all that stands behind the first slash", function()
    start { a = down, b = function() return "yes" end }
    fallback { "a", "b/some/model" }
    local _, info = answer()
    assert.same({ "b", "some/model" }, { info.provider, info.model })
    assert.same({ "m", "some/model" }, trail(info.attempts, "model"))
  end)

  it("is a model in all four ways", function()
    start { a = down, b = function() return "yes" end }
    fallback { "a/x", "b/y" }
    assert.equal("yes", chain:invoke("Hi").content)
    assert.equal("yes", chain:ainvoke({ { role = "user", content = "Hi" } }):await().content)
    assert.equal("yes", chain:invoke_stream("Hi"):text())
    for text in chain:ainvoke_stream "Hi" do assert.equal("yes", text) end
    raises(keycycle.KeycycleError, "with a colon", chain.invoke, "Hi")
  end)

  it("goes on at once where a member is down, broken, or wrong for the request", function()
    for _, fault in ipairs { down, broken, too_long,
      function() return refusal(404) end, function() return later(30) end, dead } do
      start({ a = fault, b = function() return "yes" end }, { a = { n = 1 } })
      fallback { "a/x", "b/y" }
      local text, info, seconds = answer()
      assert.same({ "yes", "b", 0, 0, { "a1", "b1" } },
        { text, info.provider, info.waited, seconds, tried })
      assert.same({ "a", "b" }, trail(info.attempts, "provider"))
      wrapper:stop()
    end
  end)

  it("goes over a member's own keys first", function()
    start { a = function(key) return key < 3 and later(30) or "yes" end,
      b = function() return "no" end }
    fallback { "a/x", "b/y" }
    local text, info = answer()
    assert.same({ "yes", { "a1", "a2", "a3" } }, { text, tried })
    assert.same({ "rotate", "rotate", false }, trail(info.attempts, "action"))
  end)

  it("passes over a member that has no key ready, and says so", function()
    start({ a = function() return "a" end, b = function() return "b" end },
      { a = { n = 1, limits = { requests_per_minute = 1 } } })
    fallback { "a/x", "b/y" }
    answer()
    local text, info = answer()
    assert.equal("b", text)
    assert.same({ { provider = "a", model = "x", kind = "limited", waited = 0, action = "next" },
      { provider = "b", model = "y", key_index = 1, status = 200, kind = "ok", waited = 0 } },
      info.attempts)
  end)

  it("passes over a member whose keys are all taken out, or whose limit the request breaks",
    function()
      start({ a = function() return "a" end, b = function() return "b" end,
        c = function() return "c" end }, { b = { limits = { tokens_per_minute = 10 } } })
      for i = 1, 3 do wrapper:get_manager("a"):disable(i) end
      fallback { "a/x", "b/y", "c/z", estimated_tokens = 100 }
      local text, info = answer()
      assert.same({ "c", { "c1" }, { "no_key", "impossible", "ok" } },
        { text, tried, trail(info.attempts, "kind") })
    end)

  it("passes over a member that is known to be down, and waits for it where it must", function()
    start({ a = function() return "a" end, b = function() return "b" end },
      { b = { limits = { requests_per_day = 1 }, n = 1 } })
    local entry = wrapper.entries.a
    local one <close> = hold.enter(entry)
    do
      local _ <close> = hold.enter(entry) -- two at once, as it takes
      for _ = 1, 5 do one:failed(clock:now(), 3) end
    end
    fallback { "a/x", "b/y" }
    local text, info = answer()
    assert.same({ "b", { "overloaded", "ok" } }, { text, trail(info.attempts, "kind") })
    text, info = answer()
    assert.same({ "a", { "overloaded", "limited", "ok" } }, { text, trail(info.attempts, "kind") })
    assert.is_true(info.waited >= 3 and info.waited < 5)
  end)

  it("leaves an attempt for each that has not been asked", function()
    local function spent() return later(30) end
    start({ a = spent, b = spent, c = spent, d = function() return "yes" end },
      { a = { n = 9 }, b = { n = 9 }, c = { n = 9 } })
    fallback { "a/x", "b/y", "c/z", "d/w" }
    local text = answer()
    assert.same({ "yes", { "a1", "a2", "a3", "b1", "c1", "d1" } }, { text, tried })
  end)

  it("makes no more attempts than its budget has", function()
    start { a = broken, b = broken, c = broken }
    fallback { "a/x", "b/y", "c/z" }
    for retries, expect in pairs { [0] = 1, [1] = 2, [2] = 3, [4] = 5 } do
      tried = {}
      local err = refused(keycycle.APIError, nil, { max_retries = retries })
      assert.same({ expect, expect }, { #tried, #err.attempts }, retries)
    end
    tried = {}
    refused(keycycle.APIError)
    assert.same({ 6, "a1", "b1", "c1" }, { #tried, tried[1], tried[2], tried[3] })
  end)

  it("has an attempt for each of many where no budget is given", function()
    local answers, list = {}, {}
    for i = 1, 9 do
      local name = "p" .. i
      answers[name] = too_long
      list[i] = name .. "/m"
    end
    answers.p9 = function() return "yes" end
    start(answers)
    fallback(list)
    assert.equal("yes", answer())
    assert.equal(9, #tried)
  end)
end)

describe("a chain of which none can answer at once", function()
  it("waits for the one that is free first", function()
    start({ a = function() return "a" end, b = function() return "b" end },
      { a = { n = 1, limits = { requests_per_minute = 1 } },
        b = { n = 1, limits = { windows = { { seconds = 5, requests = 1 } } } } })
    fallback { "a/x", "b/y" }
    for _ = 1, 2 do answer() end
    local text, info, seconds = answer()
    assert.equal("b", text)
    assert.near(5, seconds, 0.1)
    assert.near(5, info.waited, 0.1)
    assert.same({ "limited", "limited", "ok" }, trail(info.attempts, "kind"))
  end)

  it("waits out what a provider asked for, on the same key", function()
    local n = 0
    start({ a = function()
      n = n + 1
      return n > 1 and "yes" or later(2)
    end, b = function() return later(8) end }, { a = { n = 1 }, b = { n = 1 } })
    fallback { "a/x", "b/y" }
    local text, info, seconds = answer()
    assert.same({ "yes", { "a1", "b1", "a1" } }, { text, tried })
    assert.is_true(seconds >= 2 and seconds < 3)
    assert.near(seconds, info.waited, 0.1)
  end)

  it("asks a broken one again after the pause of its policy", function()
    local n = 0
    start { a = function()
      n = n + 1
      return n > 2 and "yes" or broken()
    end }
    fallback { "a/x" }
    local text, info = answer()
    assert.same({ "yes", { "retry", "retry", false } }, { text, trail(info.attempts, "action") })
    assert.same({ "a1", "a1", "a1" }, tried)
    local waits = trail(info.attempts, "waited")
    assert.is_true(waits[1] > 0 and waits[2] > 0 and waits[3] == 0)
    assert.near(waits[1] + waits[2], info.waited, 1e-9)
  end)

  it("waits no longer than its timeout in all, or its deadline", function()
    start({ a = function() return later(30) end, b = function() return later(8) end },
      { a = { n = 1 }, b = { n = 1 } })
    fallback { "a/x", "b/y", timeout = 5 }
    local err = refused(keycycle.RateLimitError)
    assert.near(8, err.retry_after, 0.1)
    assert.equal("b", err.provider)
    assert.same({ "a1", "b1" }, tried)
    -- Both rest now: neither is asked at all.
    err = refused(keycycle.NoAvailableKeyError, nil, { timeout = 60, deadline = 4 })
    assert.same({ "b", { "a1", "b1" } }, { err.provider, tried })
  end)

  it("counts all its waits against its timeout, whoever they were for", function()
    start({ a = function() return later(3) end }, { a = { n = 1 } })
    fallback { "a/x", timeout = 6 }
    local err = refused(keycycle.RateLimitError)
    assert.same({ { "a1", "a1" }, 2 }, { tried, #err.attempts })
    wrapper:stop()
    local n = 0
    start({ a = function(_, i) return i == 1 and later(2) or refusal(404) end, b = function()
      n = n + 1
      return n > 1 and "yes" or later(5)
    end }, { a = { n = 1 }, b = { n = 1 } })
    fallback { "a/x", "b/y" }
    local text, info, seconds = answer()
    assert.same({ "yes", { "a1", "b1", "a1", "b1" } }, { text, tried })
    assert.near(seconds, info.waited, 0.1)
    assert.is_true(info.waited >= 5)
  end)

  it("does not ask again one whose queue is full", function()
    start({ a = function() return "yes" end },
      { a = { n = 1, limits = { requests_per_minute = 1 }, max_wait_queue = 1 } })
    fallback { "a/x", timeout = 100 }
    answer()
    local first = chain:ainvoke "Hi"
    keycycle.step(0)
    local second = chain:ainvoke "Hi"
    keycycle.step(0)
    assert.equal("queue_full", raises(keycycle.NoAvailableKeyError, nil, second.await, second).code)
    clock:advance(61)
    assert.equal("yes", first:await().content)
  end)

  it("does not wait where it is told not to", function()
    start({ a = function() return later(2) end, b = broken }, { a = { n = 1 } })
    fallback { "a/x", "b/y", wait = false }
    local t, seconds = ask()
    local err = raises(keycycle.RateLimitError, nil, t.await, t)
    assert.same({ 0, { "a1", "b1" }, { "temporary", "server" } },
      { seconds, tried, trail(err.attempts, "kind") })
  end)

  it("does not ask again who said that it would not help", function()
    start { a = too_long, b = function() return refusal(404) end }
    fallback { "a/x", "b/y" }
    local err = refused(keycycle.APIError)
    assert.same({ "context_length", "a", { "a1", "b1" } }, { err.code, err.provider, tried })
  end)

  it("holds to the policy that it is given", function()
    start { a = broken, b = broken }
    fallback { "a/x", "b/y", policy = "fail_fast" }
    refused(keycycle.APIError)
    assert.same({ "a1", "b1" }, tried)
  end)

  it("cannot wait outside of tasks on a clock that the program moves", function()
    start({ a = function() return later(2) end }, { a = { n = 1 } })
    fallback { "a/x" }
    assert.equal(2, raises(keycycle.RateLimitError, nil, chain.invoke, chain, "Hi").retry_after)
  end)

  it("asks none once its deadline is over", function()
    start { a = broken, b = broken }
    fallback { "a/x", "b/y", deadline = 0 }
    local err = refused(keycycle.TimeoutError, "deadline")
    assert.same({ "timeout", {} }, { err.code, tried })
  end)
end)

describe("the error of a chain", function()
  local cases = {
    { "when to come again, before what is wrong", { too_long, function() return later(90) end,
      dead, broken }, "NoAvailableKeyError", "b" },
    { "the shortest time of several", { function() return later(900) end,
      function() return later(90) end }, "NoAvailableKeyError", "b" },
    { "what is wrong with the request, before what is with keys", { dead, too_long, broken },
      "APIError", "b" },
    { "what is wrong with keys, before a server's faults", { broken, dead }, "InvalidKeyError",
      "b" },
    { "else the last one's", { broken, down }, "TransportError", "b" },
  }
  for _, case in ipairs(cases) do
    it("is " .. case[1], function()
      local answers, configs, list = {}, {}, { wait = false }
      for i, fault in ipairs(case[2]) do
        local name = ("abcd"):sub(i, i)
        answers[name], configs[name], list[i] = fault, { n = 1 }, name .. "/m"
      end
      start(answers, configs)
      fallback(list)
      local err = refused(keycycle[case[3]])
      assert.equal(case[4], err.provider)
      assert.equal(#case[2], #err.attempts)
      for i, one in ipairs(err.attempts) do
        assert.same({ list[i], 1 }, { one.provider .. "/" .. one.model, one.key_index })
      end
    end)
  end
end)

describe("what the program did wrong", function()
  it("is raised before any is asked", function()
    start { a = broken, b = function() return "yes" end }
    fallback { "a/x", "b/y" }
    local err = raises(keycycle.KeycycleError, "messages is empty", chain.invoke, chain, {})
    assert.equal("bad_request", err.code)
    wrapper:register_provider("twelvelabs", { keys = { { api_key = "sk-t-0123456789abcdef",
      index_id = "i" } } })
    -- A later member that cannot take the request is not found out in an emergency only.
    raises(keycycle.KeycycleError, "extra.video_id is missing", function()
      wrapper:fallback({ "b/y", "twelvelabs" }):invoke "Hi"
    end)
    raises(keycycle.InvalidConfigurationError, '"temprature"', chain.invoke, chain, "Hi",
      { temprature = 1 })
    assert.same({}, tried)
  end)

  it("is raised at once, where it shows on the way", function()
    start { a = broken, b = function() return "yes" end }
    local one = wrapper:get_model("b", { key_id = 9 })
    raises(keycycle.KeyNotFoundError, "no key 9", function()
      wrapper:fallback({ "a/x", one, "b/y" }):invoke "Hi"
    end)
    assert.same({ "a1" }, tried)
    fallback { "a/x", "b/y" }
    wrapper:stop()
    assert.equal("closed", raises(keycycle.KeycycleError, nil, chain.invoke, chain, "Hi").code)
  end)

  it("is raised when the chain is made", function()
    start { a = broken }
    local function make(given) return wrapper:fallback(given) end
    assert.equal("unknown_provider", raises(keycycle.InvalidConfigurationError, "registered: a",
      make, { "a/x", "q/y" }).code)
    for word, given in pairs {
      ["at least one model"] = {}, ["not a string"] = "a/x", ["not a nil"] = { nil },
      ["item 1 of a chain"] = { "" }, ["item 2 of a chain"] = { "a/x", 5 },
      ["no option \"4\""] = { "a/x", [4] = "a/y" }, ["no option key_id"] = { "a", key_id = 1 },
      ["no option pin_key"] = { "a", pin_key = true }, ["no option model"] = { "a", model = "x" },
      ["no option base_url"] = { "a", base_url = "http://127.0.0.1:2" },
      ["no option \"id\""] = { "a", id = "x" },
    } do
      raises(keycycle.InvalidConfigurationError, word, make, word ~= "not a nil" and given or nil)
    end
    fallback { "a/x" }
    raises(keycycle.InvalidConfigurationError, "item 1", make, { chain })
    raises(keycycle.InvalidConfigurationError, "no option key_id", chain.invoke, chain, "Hi",
      { key_id = 1 })
    assert.same({}, tried)
  end)
end)

describe("a chain's options", function()
  it("win over a model's own, and those of one call over them", function()
    local seen = {}
    start { a = function() return "yes" end }
    local stub = attempt.run
    attempt.run = function(run, lease)
      seen[#seen + 1] = { run.request.json.temperature, run.request.json.max_tokens,
        run.request.json.seed, run.key or lease.index }
      return stub(run, lease)
    end
    fallback { wrapper:get_model("a", { id = "x", temperature = 0, max_tokens = 1, seed = 7,
      key_id = 2, pin_key = true }), temperature = 1, max_tokens = 2 }
    answer { max_tokens = 3 }
    assert.same({ { 1, 3, 7, 2 } }, seen)
    attempt.run = stub
  end)

  it("are never written to, nor is the list", function()
    start { a = function() return "yes" end }
    local given, opts = { "a/x", tools = { { name = "t" } }, stop = "x" }, { seed = 1 }
    local before = keycycle.json.encode { given.tools, given.stop, given[1], opts }
    fallback(given)
    answer(opts)
    assert.equal(before, keycycle.json.encode { given.tools, given.stop, given[1], opts })
  end)
end)
