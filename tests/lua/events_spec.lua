local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local A, B = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"

describe("an event", function()
  local wrapper, manager, clock, seen
  before_each(function()
    clock = keycycle.clock.manual(1000)
    wrapper = keycycle.MultiClientWrapper.new { clock = clock }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = { A, B },
      default_model = "m", limits = { requests_per_minute = 2 } })
    manager, seen = wrapper:get_manager "p", {}
  end)
  after_each(function() wrapper:stop() end)

  local function listen(...)
    for _, name in ipairs { ... } do
      manager:on(name, function(event) seen[#seen + 1] = event end)
    end
  end
  local function names()
    local list = {}
    for i, event in ipairs(seen) do list[i] = event.event end
    return list
  end

  it("comes on the program's own loop, not at once", function()
    listen "acquire"
    manager:get_key "m"
    assert.same({}, seen)
    keycycle.step(0)
    assert.same({ "acquire", 1, "efghij", "m", "p", 1000 }, { seen[1].event, seen[1].key_index,
      seen[1].suffix, seen[1].model, seen[1].provider, seen[1].at })
    keycycle.step(0)
    assert.equal(1, #seen)
  end)

  it("comes when a call has blocked, too", function()
    listen "acquire"
    manager:get_key "m"
    keycycle.sleep(0.001)
    assert.equal(1, #seen)
  end)

  it("tells of a cooldown, a probe that worked, and a dead key", function()
    listen("cooldown", "recover", "invalid")
    manager:get_key("m"):fail { status = 429, headers = { ["retry-after"] = "30" } }
    keycycle.step(0)
    assert.same({ "cooldown", 1, 1030 },
      { seen[1].event, seen[1].key_index, seen[1].until_at })
    clock:advance(31)
    manager:get_specific_key(1, "m"):commit(1)
    manager:disable(2)
    manager:enable(2)
    keycycle.step(0)
    assert.same({ "cooldown", "recover", "recover" }, names())
    assert.same({ 1, 2 }, { seen[2].key_index, seen[3].key_index })
  end)

  it("tells of rotations and waits", function()
    listen("rotate", "wait", "invalid")
    local client = wrapper:get_rotating_client "p"
    for _ = 1, 4 do manager:get_key("m"):commit(1) end
    local t = keycycle.spawn(function()
      client.chat.completions:create({ messages = {} }, { timeout = 100, max_retries = 0 })
    end)
    keycycle.step(0)
    assert.same({ "wait" }, names())
    assert.equal("m", seen[1].model)
    t:cancel()
    keycycle.step(0)
  end)

  it("is bounded: what came too fast is counted", function()
    listen "acquire"
    for i = 1, 1500 do manager:get_key("m" .. i):commit(1) end
    keycycle.step(0)
    assert.equal(1024, #seen)
    assert.equal(1500 - 1024, seen[1].lost)
    assert.is_nil(seen[2].lost)
  end)

  it("is heard until the subscriber has enough", function()
    local n = 0
    local stop = manager:on("acquire", function() n = n + 1 end)
    manager:get_key "m"
    keycycle.step(0)
    stop()
    stop()
    manager:get_key "m"
    keycycle.step(0)
    assert.equal(1, n)
  end)

  it("may cause others, which come a turn later", function()
    local n = 0
    manager:on("acquire", function()
      n = n + 1
      if n < 4 then manager:get_key("m"):commit(1) end
    end)
    manager:get_key("m"):commit(1)
    keycycle.step(0)
    assert.equal(1, n)
    for _ = 1, 5 do keycycle.step(0) end
    assert.equal(4, n)
  end)

  it("may make its subscriber listen elsewhere, or stop a provider", function()
    for i = 1, 20 do
      wrapper:register_provider("q" .. i, { base_url = "http://127.0.0.1:1/v1", keys = { A } })
    end
    manager:on("acquire", function()
      manager:stop()
      for i = 1, 20 do wrapper:get_manager("q" .. i):on("acquire", function() end) end
    end)
    manager:get_key "m"
    keycycle.step(0)
    wrapper:get_manager "q7":on("acquire", function(event) seen[#seen + 1] = event.provider end)
    wrapper:get_manager "q7":get_key "m"
    keycycle.step(0)
    assert.same({ "q7" }, seen)
  end)

  it("survives its subscriber", function()
    local lines = {}
    keycycle.log.set_sink(function(_, line) lines[#lines + 1] = line end)
    manager:on("acquire", function() error "oops" end)
    listen "acquire"
    manager:get_key "m"
    keycycle.step(0)
    keycycle.log.set_sink(nil)
    assert.equal(1, #seen)
    assert.truthy(lines[1]:find("oops", 1, true))
  end)

  it("keeps no wrapper alive that nobody holds", function()
    local gone = setmetatable({}, { __mode = "k" })
    do
      local other = keycycle.MultiClientWrapper.new {}
      other:register_provider("q", { base_url = "http://127.0.0.1:1/v1", keys = { A } })
      local own = other:get_manager "q"
      own:on("acquire", function() return own end)
      gone[other] = true
    end
    for _ = 1, 4 do collectgarbage() end
    assert.is_nil(next(gone))
  end)

  it("has a name that is known", function()
    raises(keycycle.InvalidConfigurationError, "acquire, cooldown", manager.on, manager, "x",
      print)
    raises(keycycle.InvalidConfigurationError, "function", manager.on, manager, "wait", 5)
  end)
end)
