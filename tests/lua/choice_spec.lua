local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local A, B, C = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
  "sk-test-5555555555555555555k"

describe("the choice of a key", function()
  local wrapper, manager
  local function start(config, real_clock)
    wrapper = keycycle.MultiClientWrapper.new {
      clock = not real_clock and keycycle.clock.manual(1000) or nil }
    config.base_url, config.default_model = "http://127.0.0.1:1/v1", "m"
    config.keys = config.keys or { A, B, C }
    wrapper:register_provider("p", config)
    manager = wrapper:get_manager "p"
  end
  after_each(function() wrapper:stop() end)

  local function chosen(n, opts)
    local list = {}
    for i = 1, n do
      local lease = manager:get_key("m", opts)
      list[i] = lease.index
      lease:commit(1)
    end
    return list
  end

  it("is one of the strategies by name", function()
    for _, name in ipairs { "balanced", "round_robin", "random_two", "fill_first", "weighted",
      "most_remaining", "best_fit" } do
      start { selection = name, limits = { requests_per_minute = 2 } }
      local list = chosen(6)
      table.sort(list)
      assert.same({ 1, 1, 2, 2, 3, 3 }, list, name)
      assert.is_nil((manager:get_key "m"))
      wrapper:stop()
    end
    start {}
  end)

  it("balances by load, takes turns, or fills up", function()
    local function load_first(selection)
      start { selection = selection, limits = { tokens_per_minute = 100 } }
      manager:get_specific_key(1, "m"):commit(60)
      manager:get_specific_key(2, "m"):commit(30)
      local index = manager:get_key("m", { estimated_tokens = 10 }).index
      wrapper:stop()
      return index
    end
    assert.equal(3, load_first "balanced")
    assert.equal(3, load_first "most_remaining")
    assert.equal(1, load_first "best_fit")
    assert.equal(1, load_first "fill_first")
    start {}
  end)

  it("goes by weight", function()
    start { selection = "weighted",
      keys = { { api_key = A, weight = 1 }, { api_key = B, weight = 9 } } }
    chosen(500)
    local keys = manager:get_global_stats().keys
    assert.is_true(keys[2].snapshot.total_requests > 4 * keys[1].snapshot.total_requests)
    assert.is_true(keys[1].snapshot.total_requests > 10)
  end)

  it("keeps to the models that a key serves", function()
    start { keys = { { api_key = A, models = { "m" } }, B } }
    for _ = 1, 4 do assert.equal(2, manager:get_key("other").index) end
    manager:disable(2)
    local lease, why = manager:get_key "other"
    assert.is_nil(lease)
    assert.equal("no_key", why.code)
    assert.equal(1, manager:get_key("m").index)
  end)

  it("is the same for the same affinity while that key can serve", function()
    start { limits = { requests_per_minute = 10 } }
    local first = manager:get_key("m", { affinity = "session 1" }).index
    for _ = 1, 9 do
      assert.equal(first, manager:get_key("m", { affinity = "session 1" }).index)
    end
    assert.not_equal(first, manager:get_key("m", { affinity = "session 1" }).index)
    local seen = {}
    for i = 1, 10 do seen[manager:get_key("m", { affinity = "s" .. i }).index] = true end
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    assert.is_true(n >= 2)
    raises(keycycle.InvalidConfigurationError, "affinity", manager.get_key, manager, "m",
      { affinity = 5 })
  end)

  it("is a function's, which sees what has room and no key", function()
    local seen
    start { limits = { requests_per_minute = 3 }, selection = function(candidates)
      seen = candidates
      return candidates[#candidates].index
    end }
    assert.same({ 3, 3, 3, 2, 2, 2, 1, 1, 1 }, chosen(9))
    assert.same({ 1, "efghij", 2, 3 }, { seen[1].index, seen[1].suffix, seen[1].used.rpm,
      seen[1].limits.requests_per_minute })
    for _, candidate in ipairs(seen) do
      for _, value in pairs(candidate) do
        assert.is_nil(tostring(value):find("0123456789", 1, true))
      end
    end
  end)

  it("is balanced's where the function has no answer", function()
    for _, answer in ipairs { 99, 0, -1, 1.5, "x", false } do
      start { selection = function() return answer end }
      assert.same({ 1, 2, 3 }, chosen(3), tostring(answer))
      wrapper:stop()
    end
    start { selection = function() error "mine" end }
    assert.has_error(function() manager:get_key "m" end)
    assert.equal(0, manager:get_global_stats().total.in_flight)
  end)

  it("begins anywhere, but on a clock of the program", function()
    local seen, n = {}, 0
    for _ = 1, 60 do
      start({ selection = "round_robin" }, true)
      local index = chosen(1)[1]
      if not seen[index] then n = n + 1 end
      seen[index] = true
      wrapper:stop()
    end
    assert.equal(3, n)
    start { selection = "round_robin" }
    assert.same({ 1, 2, 3, 1 }, chosen(4))
  end)

  it("prefers lower priorities", function()
    start { keys = { { api_key = A, priority = 2 }, { api_key = B, priority = 1 } },
      limits = { requests_per_minute = 2 } }
    assert.same({ 2, 2, 1, 1 }, chosen(4))
  end)
end)
