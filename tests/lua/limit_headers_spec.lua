local keycycle = require "keycycle"
local limit_headers = require "keycycle.limit_headers"

local NOW = 1767225600 -- 2026-01-01T00:00:00Z

local function line(format)
  return { { unit = "requests", window = "minute", limit = "l", remaining = "r", reset = "t",
    format = format } }
end

describe("rate-limit headers", function()
  local function reset(format, text)
    local list = limit_headers.read(line(format), { t = text }, NOW)
    return list[1] and list[1].reset
  end

  it("are read into one form", function()
    local list = limit_headers.read(line "go", { l = "500", r = "499", t = "120ms" }, NOW)
    assert.same({ { unit = "requests", window = "minute", limit = 500, remaining = 499,
      reset = 0.12 } }, list)
    assert.same({}, limit_headers.read(line "go", { other = "1" }, NOW))
    assert.same({}, limit_headers.read(nil, { l = "1" }, NOW))
  end)

  it("tell the reset in every format", function()
    for text, seconds in pairs { ["6m0s"] = 360, ["7.66s"] = 7.66, ["120ms"] = 0.12,
      ["1h2m3s"] = 3723, ["0s"] = 0, ["30"] = 30 } do
      assert.near(seconds, reset("go", text), 1e-9)
    end
    assert.near(1.5, reset("ms", "1500"), 1e-9)
    assert.near(1.5, reset("ms", "1500ms"), 1e-9)
    assert.near(12, reset("seconds", "12"), 1e-9)
    assert.near(12, reset("seconds", "12s"), 1e-9)
    assert.near(5, reset("epoch", tostring(NOW + 5)), 1e-9)
    assert.near(5, reset("epoch_ms", tostring((NOW + 5) * 1000)), 1e-6)
    assert.near(65, reset("rfc3339", "2026-01-01T00:01:05Z"), 1e-9)
    assert.near(65.5, reset("rfc3339", "2026-01-01T00:01:05.5Z"), 1e-9)
    assert.near(65, reset("rfc3339", "2026-01-01T02:01:05+02:00"), 1e-9)
    assert.near(65, reset("rfc3339", "2025-12-31T19:01:05-05:00"), 1e-9)
  end)

  it("say nothing where they cannot be understood", function()
    for _, format in ipairs { "go", "ms", "seconds", "epoch", "epoch_ms", "rfc3339", "odd" } do
      for _, text in ipairs { "", "soon", "1x", "--", "6m0", "nan", "2026-13" } do
        local seconds = reset(format, text)
        assert.is_true(seconds == nil or (seconds >= 0 and seconds <= 86400), format .. text)
      end
    end
    for _, text in ipairs { "-1", "1.5", "x", "1e99", "" } do
      local list = limit_headers.read(line "go", { l = text, r = "5" }, NOW)
      assert.is_nil(list[1].limit, text)
    end
    assert.equal(0, reset("epoch", "5")) -- long ago
    assert.equal(86400, reset("go", "99999h0m0s")) -- at most a day
  end)

  it("say how long to wait for what is used up", function()
    local list = { { remaining = 0, reset = 5 }, { remaining = 0, reset = 7 },
      { remaining = 3, reset = 100 }, { remaining = 0 } }
    assert.equal(7, limit_headers.wait(list))
    assert.is_nil(limit_headers.wait { { remaining = 1, reset = 5 } })
  end)
end)

describe("a lease that is told of headers", function()
  local wrapper, manager, clock
  before_each(function()
    clock = keycycle.clock.manual(NOW)
    wrapper = keycycle.MultiClientWrapper.new { clock = clock }
    wrapper:register_provider("openai", { base_url = "http://127.0.0.1:1/v1",
      default_model = "m", keys = { "sk-test-0123456789abcdefghij" } })
    manager = wrapper:get_manager "openai"
  end)
  after_each(function() wrapper:stop() end)

  local function told(limit, remaining)
    local lease = manager:get_key "m"
    if not lease then return false end
    lease:headers { ["X-RateLimit-Limit-Requests"] = tostring(limit),
      ["X-RateLimit-Remaining-Requests"] = tostring(remaining) }
    lease:commit(1)
    return true
  end

  it("learns limits, and says so", function()
    local learned = {}
    manager:on("learn", function(event) learned[#learned + 1] = event end)
    told(3, 2)
    keycycle.step(0)
    assert.same({ "requests_per_minute", 3, 1, "m" }, { learned[1].reason, learned[1].amount,
      learned[1].key_index, learned[1].model })
    assert.equal(3, manager:explain("m")[1].limits.requests_per_minute)
    assert.is_true(told(3, 1))
    assert.is_true(told(3, 0))
    assert.is_false(told(3, 0))
    clock:advance(61)
    assert.is_true(told(5, 4)) -- the provider gives more now
    assert.equal(5, manager:explain("m")[1].limits.requests_per_minute)
    keycycle.step(0)
    assert.equal(2, #learned)
  end)

  it("counts what others have used, and never gives room for it", function()
    told(10, 3) -- six of the seven were not ours
    assert.equal(7, manager:get_global_stats().total.rpm)
    assert.equal(1, manager:get_global_stats().total.total_requests)
    told(10, 9) -- an answer from elsewhere, or a window that began anew
    assert.equal(8, manager:get_global_stats().total.rpm)
    assert.is_true(told(10, 1))
    assert.is_true(told(10, 0))
    assert.is_false(told(10, 0))
  end)

  it("never goes over what the program declared", function()
    wrapper:register_provider("openai", { base_url = "http://127.0.0.1:1/v1",
      default_model = "m", keys = { "sk-test-0123456789abcdefghij" },
      limits = { requests_per_minute = 2 } })
    told(100, 99)
    assert.equal(2, manager:explain("m")[1].limits.requests_per_minute)
    told(100, 98)
    assert.is_false(told(100, 97))
  end)

  it("joins keys of one organisation, with what they have used", function()
    wrapper:register_provider("openai", { base_url = "http://127.0.0.1:1/v1",
      default_model = "m", limits = { requests_per_minute = 5 },
      keys = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
        { api_key = "sk-test-5555555555555555555k", group = "mine" } } })
    for _ = 1, 2 do manager:get_specific_key(1, "m"):commit(1) end
    local held = manager:get_specific_key(2, "m")
    for index = 1, 3 do
      local lease = manager:get_specific_key(index, "m")
      lease:headers { ["OpenAI-Organization"] = "org-1" }
      lease:commit(1)
    end
    local keys = manager:keys()
    assert.same({ "org-1", "org-1", "mine" }, { keys[1].group, keys[2].group, keys[3].group })
    -- Three of key 1 and two of key 2, one of them still out: five of five.
    assert.is_nil((manager:get_specific_key(1, "m")))
    assert.is_nil((manager:get_specific_key(2, "m")))
    assert.truthy(manager:get_specific_key(3, "m"))
    held:cancel()
    assert.truthy(manager:get_specific_key(1, "m"))
    assert.is_nil((manager:get_specific_key(2, "m")))
  end)

  it("begins to age then", function()
    told(2, 1)
    local lease = manager:get_key "m"
    lease:headers {}
    assert.is_nil((manager:get_key "m"))
    clock:advance(61)
    assert.is_true(told(2, 1)) -- though the other one is not settled yet
    lease:commit(1)
  end)

  it("survives odd ones", function()
    local lease = manager:get_key "m"
    lease:headers { ["x-ratelimit-limit-requests"] = "many", [5] = "x",
      ["x-ratelimit-remaining-tokens"] = "-3" }
    assert.has_error(function() lease:headers "x" end)
    lease:commit(1)
    assert.is_nil(manager:explain("m")[1].limits.requests_per_minute)
  end)
end)
