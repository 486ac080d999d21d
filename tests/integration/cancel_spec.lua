--- A task that is cancelled, at every stage of what it may wait for: the transfer stops,
--- the lease is settled, what is to be closed is closed, and nothing is left behind.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local KEY = "sk-test-0123456789abcdefghij"
local MODEL = "m"

local raw, silent, env

-- Answers with a stream that has no event.
local SILENT = [[return function()
  return 200, { ["content-type"] = "text/event-stream" }, { false }
end]]

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = "hi" } } }
end

-- A wrapper on a clock that stands still, with one provider whose base_url is `url`.
local function provider(url, config)
  env.wrapper = keycycle.MultiClientWrapper.new { clock = keycycle.clock.manual(1e9) }
  local all = { base_url = url .. "/v1", keys = { KEY }, default_model = MODEL }
  for k, v in pairs(config or {}) do all[k] = v end
  env.wrapper:register_provider("p", all)
  env.client = env.wrapper:get_rotating_client("p", { timeout = 100 })
  env.manager = env.wrapper:get_manager "p"
end

local function call(stream) return env.client.chat.completions:create(request(stream)) end

local function count()
  return keycycle.json.decode(keycycle.http.request { url = raw.url "/count" }.body).count
end

-- Steps until `n` more requests than now have reached the raw server, and a little on.
local function reached(n)
  local from = count()
  return function()
    local asked = 0 -- by us: these count, too
    repeat
      keycycle.step(0.01)
      asked = asked + 1
      assert(asked < 1000, "a request does not come")
    until count() - from - asked >= n
    for _ = 1, 3 do keycycle.step(0.002) end
  end
end

-- The same, until these have their answers.
local function answered(n)
  local come = reached(n)
  return function()
    come()
    while env.manager:get_global_stats().total.in_flight > 0 do keycycle.step(0.01) end
  end
end

local function steps(n)
  return function()
    for _ = 1, n do keycycle.step(0) end
  end
end

-- What is waited for; `at` brings it there; `sent` requests stay counted.
local stages = {
  ["before it began"] = { url = "/ok", run = call, at = function() return steps(0) end, sent = 0 },
  ["in the queue for a key"] = { url = "/ok", run = call, sent = 1,
    config = { limits = { requests_per_minute = 1 } },
    at = function()
      env.manager:get_key(MODEL):commit(1)
      return steps(2)
    end },
  ["in get_key"] = { url = "/ok", sent = 1, config = { limits = { requests_per_minute = 1 } },
    run = function() return env.manager:get_key(MODEL, { wait = true, timeout = 100 }) end,
    at = function()
      env.manager:get_key(MODEL):commit(1)
      return steps(2)
    end },
  ["while its provider is down"] = { url = "/status?code=503&", run = call, sent = 5,
    at = function()
      for _ = 1, 5 do env.others[#env.others + 1] = keycycle.spawn(call) end
      answered(5)()
      return steps(3)
    end },
  ["before the answer"] = { url = "/never", run = call, at = function() return reached(1) end,
    sent = 1 },
  ["in the middle of the answer"] = { url = "/never-body", run = call,
    at = function() return reached(1) end, sent = 1 },
  ["before a stream's first event"] = { run = function() return call(true) end, sent = 1,
    at = function()
      return function()
        repeat keycycle.step(0.01) until #silent.journal() > 0
        for _ = 1, 3 do keycycle.step(0.002) end
      end
    end },
  ["in the middle of a stream"] = { url = "/slow-events", sent = 1,
    run = function()
      for _ in call(true) do env.events = (env.events or 0) + 1 end
    end,
    at = function() return function() repeat keycycle.step(0.01) until env.events end end },
  ["in a stream that nothing closes"] = { url = "/slow-events", sent = 1,
    run = function()
      env.stream = call(true)
      env.events = env.stream() and 1
      env.stream()
    end,
    at = function() return function() repeat keycycle.step(0.01) until env.events end end },
  ["before a retry"] = { url = "/status?code=503&", run = call,
    at = function() return answered(1) end, sent = 1 },
  ["in a generator"] = { url = "/never", at = function() return reached(1) end, sent = 1,
    run = function()
      local each = keycycle.wrap(function() coroutine.yield(call()) end)
      each()
    end },
  ["in sleep"] = { run = function() keycycle.sleep(3600) end, at = function() return steps(1) end },
  ["in await"] = { at = function() return steps(2) end,
    run = function()
      local other = keycycle.spawn(keycycle.sleep, 3600)
      env.others[1] = other
      other:await()
    end },
  ["in gather"] = { url = "/never", at = function() return reached(2) end, sent = 2,
    run = function() keycycle.gather { call, call } end },
  ["in run"] = { url = "/never", at = function() return reached(1) end, sent = 1,
    run = function() keycycle.run(call) end },
  ["in preconnect"] = { url = "/never", at = function() return reached(1) end,
    run = function() env.wrapper:preconnect "p" end },
  ["in http.request"] = { at = function() return reached(1) end,
    run = function() keycycle.http.request { url = raw.url "/never" } end },
}

-- The task that is cancelled: what it waits for, then others of its waits.
local function victim(stage)
  local held <close> = setmetatable({}, { __close = function() env.closed = true end })
  local _, err = pcall(stage.run)
  env.errors = { err }
  for _, later in ipairs { function() call() end, function() keycycle.sleep(0) end,
    function() keycycle.gather { function() end } end,
    function() keycycle.http.request { url = raw.url "/ok" } end } do
    env.errors[#env.errors + 1] = select(2, pcall(later))
  end
  error(err, held and 0)
end

local function finish()
  local turns = 0
  while keycycle.step(0.01) > 0 do
    turns = turns + 1
    assert(turns < 1000, "a task does not end")
  end
end

describe("a task that is cancelled", function()
  setup(function()
    raw = servers.raw()
    keycycle.log.set_level "error"
  end)
  teardown(function()
    raw.stop()
    keycycle.log.set_level "warn"
  end)
  before_each(function()
    silent = servers.canned(SILENT)
    env = { others = {} }
  end)
  after_each(function()
    if env.wrapper then env.wrapper:stop() end
    silent.stop()
  end)

  for name, stage in pairs(stages) do
    it(name .. " leaves nothing behind", function()
      local pending = core.pending()
      provider(stage.url and raw.url(stage.url) or silent.url, stage.config)
      local arrive = stage.at()
      local t = keycycle.spawn(victim, stage)
      arrive()
      t:cancel "enough"
      for _, other in ipairs(env.others) do other:cancel() end
      finish()
      assert.equal("cancelled", t:status())
      if name ~= "before it began" then
        assert.is_true(env.closed)
        assert.equal(5, #env.errors)
        for i, err in ipairs(env.errors) do
          assert.is_true(keycycle.is(err, keycycle.CancelledError), i .. ": " .. tostring(err))
          assert.equal("enough", err.message)
        end
      end
      local stats = env.manager:get_global_stats()
      assert.equal(0, stats.total.in_flight)
      assert.equal(stage.sent or 0, stats.total.total_requests)
      assert.equal(0, stats.queue.length)
      assert.equal(pending, core.pending())
      assert.equal(0, core.io_pending())
    end)
  end

  it("while a name is looked up has sent nothing", function()
    local out = servers.host([[
      local keycycle = require "keycycle"
      local wrapper = keycycle.MultiClientWrapper.new {}
      wrapper:register_provider("p", { base_url = "http://slow-name.test/v1",
        allow_insecure = true, keys = { "]] .. KEY .. [[" }, default_model = "m" })
      local client = wrapper:get_rotating_client "p"
      local t = keycycle.spawn(function()
        client.chat.completions:create { messages = { { role = "user", content = "hi" } } }
      end)
      for _ = 1, 3 do keycycle.step(0) end
      t:cancel()
      keycycle.step(0)
      local total = wrapper:get_manager "p":get_global_stats().total
      print(t:status(), total.total_requests, total.in_flight)]], "",
      "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" .. servers.build
        .. "/tests/support/slow_resolver.so")
    assert.equal("cancelled\t0\t0\n", out)
  end)
end)
