--- Policies over real HTTP: what the built-in ones and scripts do to keys, in what
--- order, and what the provider saw of it.
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2",
  "sk-mock-cccccccccccccccc-3" }

local mock, wrapper, client, manager, clock

local function say(text) return { messages = { { role = "user", content = text or "hi" } } } end

local function start(options, config, opts)
  mock = servers.mock("--clock manual --keys " .. table.concat(KEYS, ",") .. " " .. options)
  clock = keycycle.clock.manual(1e9)
  wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  local all = { base_url = mock.url, keys = KEYS, default_model = "gpt-4o-mini" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider("p", all)
  client, manager = wrapper:get_rotating_client("p", opts), wrapper:get_manager "p"
end

local function journal()
  local answer = keycycle.http.request { url = mock.root .. "/journal" }
  return keycycle.json.decode(answer.body)
end

-- The call as a task, our clock moved on until it has ended.
local function run(text, opts)
  local t = keycycle.spawn(function() return client.chat.completions:create(say(text), opts) end)
  while not t.done do
    keycycle.step(0.01)
    clock:advance(0.25)
  end
  return t
end

local function states()
  local list = {}
  for i, key in ipairs(manager:keys()) do list[i] = key.state end
  return list
end

local function trail(list, field)
  local out = {}
  for i, one in ipairs(list) do out[i] = one[field] or false end
  return out
end

before_each(function() keycycle.log.set_sink(function() end) end)
after_each(function()
  keycycle.log.set_sink(nil)
  wrapper:stop()
  mock.stop()
end)

describe("the default policy over HTTP", function()
  it("tries a key three times again for a temporary refusal, then another", function()
    start ""
    local t = run "mock:retry_after=2"
    local err = raises(keycycle.RateLimitError, nil, t.await, t)
    assert.same({ 1, 1, 1, 1 }, { table.unpack(trail(err.attempts, "key_index"), 1, 4) })
    assert.are_not.equal(1, err.attempts[5].key_index)
    assert.same({ "retry", "retry", "retry", "rotate", "retry", "retry" },
      trail(err.attempts, "action"))
    local before = 0
    for i = 1, 3 do
      local waited = err.attempts[i].waited
      assert.is_true(waited > 2 and waited >= before)
      before = waited
    end
    -- It was asked to be left alone, and is: nothing more is held against it.
    assert.equal("probing", states()[1])
  end)

  it("cools a key until its quota is there again, and rotates", function()
    start("--rpm 1", { selection = "fill_first" })
    client.chat.completions:create(say())
    local info = keycycle.info(client.chat.completions:create(say()))
    assert.same({ "rotate", false }, trail(info.attempts, "action"))
    assert.same({ 1, 2 }, trail(info.attempts, "key_index"))
    assert.equal(0, info.waited)
    local key = manager:keys()[1]
    assert.equal("cooling", key.state)
    assert.is_true(key.until_at > clock:now() + 50 and key.until_at <= clock:now() + 61)
  end)

  it("suspends a dead key, has it confirmed, and then lets it be", function()
    start("", { keys = { "sk-nobody-knows-this-one", KEYS[2], KEYS[3] } })
    local info = keycycle.info(client.chat.completions:create(say()))
    assert.same({ "disable", false }, trail(info.attempts, "action"))
    assert.equal("suspended", states()[1])
    clock:advance(61)
    for _ = 1, 4 do client.chat.completions:create(say()) end
    assert.equal("invalid", states()[1])
    assert.equal(2, journal().auth_failed)
  end)

  it("backs off from an overloaded provider and blames no key", function()
    start ""
    local t = run "mock:status=503"
    local err = raises(keycycle.APIError, nil, t.await, t)
    assert.same({ "overloaded", 503, 6 }, { err.code, err.status, #err.attempts })
    for i = 1, 4 do
      assert.equal(1, err.attempts[i].key_index)
      assert.is_true(err.attempts[i + 1].waited > err.attempts[i].waited or i == 4)
    end
    assert.same({ "ready", "ready", "ready" }, states())
    assert.equal(6, journal().keys[1].failed)
    -- Alone it was never held back: the next call goes at once.
    assert.equal(0, keycycle.info(client.chat.completions:create(say())).waited)
  end)

  it("holds calls back that would all meet an overloaded provider", function()
    start("--latency 20")
    local tasks = {}
    for i = 1, 12 do
      tasks[i] = keycycle.spawn(function()
        return client.chat.completions:create(say "mock:status=503", { timeout = 2 })
      end)
    end
    local left = 12
    while left > 0 do
      keycycle.step(0.01)
      clock:advance(0.05)
      left = 0
      for _, t in ipairs(tasks) do left = left + (t.done and 0 or 1) end
    end
    local held = 0
    for _, t in ipairs(tasks) do
      local err = raises(keycycle.APIError, nil, t.await, t)
      assert.equal("overloaded", err.code)
      if err.message:find("held back", 1, true) then held = held + 1 end
    end
    assert.is_true(held > 0)
    -- Twelve callers with six attempts each would have been 72.
    assert.is_true(#journal().requests < 30)
    clock:advance(11)
    assert.equal(200, keycycle.info(client.chat.completions:create(say())).status)
    assert.equal(0, keycycle.info(client.chat.completions:create(say())).waited)
  end)

  it("rotates before a stream's first event, and says that it streams", function()
    local seen
    start("--rpm 1", { selection = "fill_first" }, { policy = function(failure)
      seen = failure.streaming
      return nil -- as the default
    end })
    client.chat.completions:create(say())
    local request = say()
    request.stream = true
    local stream <close> = client.chat.completions:create(request)
    assert.equal("You said: hi", stream:text())
    assert.equal(2, keycycle.info(stream).key_index)
    assert.is_true(seen)
  end)
end)

describe("what a provider counts, over HTTP", function()
  local function charging(rules)
    start("--rpm 100", { limits = { tokens_per_minute = 100000, requests_per_minute = 50 } })
    local lease = manager:get_key()
    require "keycycle.entry".of(lease).adapter.charge = rules
    lease:cancel()
  end

  local function counts()
    local total = manager:get_global_stats().total
    return { total.rpm, total.tpm, total.total_requests, total.total_tokens, total.in_flight }
  end

  it("holds for its limits, and what was used for the statistics", function()
    charging { max_tokens = "reserve" }
    local used = 0
    for _, streams in ipairs { false, true } do
      local request = say()
      request.max_tokens, request.stream = 500, streams
      local answer = client.chat.completions:create(request)
      if streams then answer:text() end
      used = used + keycycle.info(answer).usage.total_tokens
    end
    local rpm, tpm, requests, tokens = table.unpack(counts())
    assert.same({ 2, 2, used }, { rpm, requests, tokens })
    assert.is_true(tpm > 1000 and used < 100, "reserved 500 each")
  end)

  it("is nothing for what it refused, where it does not count that", function()
    charging { requests_failed = false }
    raises(keycycle.APIError, nil, client.chat.completions.create, say "mock:status=400")
    assert.same({ 0, 0, 1, 0, 0 }, counts())
    client.chat.completions:create(say())
    assert.equal(1, counts()[1])
  end)
end)

describe("a policy script over HTTP", function()
  it("that answers nonsense costs the call nothing, and is told of once", function()
    local lines = {}
    keycycle.log.set_sink(function(level, line)
      if level == "warn" then lines[#lines + 1] = line end
    end)
    start("--rpm 1", { selection = "fill_first", policy = keycycle.policy { name = "odd",
      decide = function(failure)
        return ({ "explode", 7, "retry", "rotate" })[failure.attempt], failure.attempt == 3 and -1
      end } })
    for _ = 1, 3 do client.chat.completions:create(say()) end
    assert.same({ 1, 1, 1 }, { journal().keys[1].ok, journal().keys[2].ok, journal().keys[3].ok })
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("odd", 1, true))
  end)

  it("may be one of the built-in ones, by its name", function()
    start("--rpm 1", { selection = "fill_first", policy = "fail_fast" })
    for i = 1, 3 do
      assert.equal(i, keycycle.info(client.chat.completions:create(say())).key_index)
    end
    local t = run(nil, { wait = false })
    local _, err = keycycle.try(t.await, t)
    assert.is_true(keycycle.is(err, keycycle.RateLimitError)
      or keycycle.is(err, keycycle.NoAvailableKeyError))
    t = run("mock:retry_after=2", { policy = "patient", max_retries = 2 })
    err = raises(keycycle.KeycycleError, nil, t.await, t)
    assert.truthy(err.code == "rate_limited" or err.code == "limited")
  end)

  it("may take a key out for what the default would not", function()
    start("", nil, { policy = function(failure)
      return failure.status == 400 and "disable" or nil
    end })
    raises(keycycle.KeycycleError, nil, client.chat.completions.create, say "mock:status=400")
    assert.same({ "suspended", "suspended", "suspended" }, states())
  end)
end)
