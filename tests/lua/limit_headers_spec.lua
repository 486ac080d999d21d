local builtin = require "keycycle.loader.builtin"
local keycycle = require "keycycle"
local limit_headers = require "keycycle.limit.headers"
local raises = require "tests.support.raises"

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
      ["1h2m3s"] = 3723, ["0s"] = 0, ["30"] = 30, ["17.399999999s"] = 17.399999999,
      ["6m 11.52s"] = 371.52, ["4h17m"] = 15420, ["0d2h"] = 7200, ["1d"] = 86400, [" 2s "] = 2,
      ["15µs"] = 15e-6, ["15\u{3bc}s"] = 15e-6, ["900ns"] = 9e-7 } do
      assert.near(seconds, reset("go", text), 1e-9, text)
    end
    assert.near(33011.382867, reset("seconds", "33011.382867"), 1e-9)
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

  it("tell the reset in whichever form, where nobody says which", function()
    for text, seconds in pairs { ["32"] = 32, ["32.5"] = 32.5, ["4h17m"] = 15420, ["900ms"] = 0.9,
      [tostring(NOW + 5)] = 5, [tostring((NOW + 5) * 1000)] = 5, ["2026-01-01T00:01:05Z"] = 65,
      ["Thu, 01 Jan 2026 00:00:09 GMT"] = 9 } do
      assert.near(seconds, reset("any", text), 1e-6, text)
    end
  end)

  it("may be structured fields that tell all at once", function()
    local lines = { { unit = "requests", window = "5_minute", limit = "p", remaining = "f",
      reset = "f", format = "ietf" } }
    local list = limit_headers.read(lines, { f = '"api";r=499;t=112',
      p = '"fixed window";"api";q=500;w=300' }, NOW)
    assert.same({ { unit = "requests", window = "5_minute", limit = 500, remaining = 499,
      reset = 112 } }, list)
    list = limit_headers.read(lines, { f = '"day";r=9;t=5000, "minute"; r=0; t=7, "odd"' }, NOW)
    assert.same({ 0, 7 }, { list[1].remaining, list[1].reset })
    assert.same({}, limit_headers.read(lines, { f = "odd", p = ";q" }, NOW))
  end)

  it("may be decimal, and less than nothing may remain", function()
    local list = limit_headers.read(line "seconds", { l = "10.5", r = "0.9", t = "2" }, NOW)
    assert.same({ 10, 0, 2 }, { list[1].limit, list[1].remaining, list[1].reset })
    list = limit_headers.read(line "seconds", { r = "-3" }, NOW)
    assert.equal(0, list[1].remaining)
    assert.same({}, limit_headers.read(line "seconds", { r = "-" }, NOW))
  end)

  it("say nothing where they cannot be understood", function()
    for _, format in ipairs { "go", "ms", "seconds", "epoch", "epoch_ms", "rfc3339", "any", "ietf",
      "odd" } do
      for _, text in ipairs { "", "soon", "1x", "s", "d", "1..2s", ";t=", ";t=x", "0x10",
        "1e9", "--", "6m0", "nan", "2026-13" } do
        local seconds = reset(format, text)
        assert.is_true(seconds == nil or (seconds >= 0 and seconds <= 86400), format .. text)
      end
    end
    for _, text in ipairs { "-1", "1.5.1", "0x10", "x", "1e99", "" } do
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

describe("lines of limit_headers", function()
  local function faulty(word, lines)
    raises(keycycle.InvalidConfigurationError, word, limit_headers.check, lines, "x.limit_headers")
  end

  it("are checked, and the error names the place", function()
    for word, one in pairs {
      ["[1].unit must be"] = { window = "minute" }, ["[1] has no field \"win\""] = { win = 1 },
      ["[1].window must be second"] = { unit = "tokens", window = "week" },
      ["[1].format must be go"] = { unit = "tokens", format = "mins" },
      ["[1].reset must be a string"] = { unit = "tokens", reset = 5 },
      ["small letters"] = { unit = "tokens", limit = "X-Limit" }, ["[1] must be a table"] = 5,
    } do
      faulty(word, { one })
    end
    faulty("must be a list", { a = {} })
    raises(keycycle.InvalidConfigurationError, "limit_headers[1].unit", keycycle.provider,
      { name = "x", limit_headers = { { window = "day" } } })
  end)

  it("are right in every built-in provider", function()
    local n = 0
    for _, name in ipairs(builtin.names "provider") do
      local lines = builtin.get("provider", name).limit_headers
      if lines then
        limit_headers.check(lines, name)
        n = n + 1
      end
    end
    assert.is_true(n >= 12, n)
  end)

  -- Recorded or documented by the providers; what is read of each line.
  local function told(name, headers)
    local out, lines = {}, builtin.get("provider", name).limit_headers
    for _, one in ipairs(limit_headers.read(lines, headers, NOW)) do
      out[#out + 1] = ("%s/%s %s/%s %s"):format(one.unit, one.window, one.remaining, one.limit,
        one.reset and ("%.2f"):format(one.reset))
    end
    return out
  end

  it("read what providers send", function()
    assert.same({ "requests/day 14398/14400 17.40", "tokens/minute 29987/30000 0.03" },
      told("groq", { ["x-ratelimit-limit-requests"] = "14400",
        ["x-ratelimit-remaining-requests"] = "14398",
        ["x-ratelimit-reset-requests"] = "17.399999999s", ["x-ratelimit-limit-tokens"] = "30000",
        ["x-ratelimit-remaining-tokens"] = "29987", ["x-ratelimit-reset-tokens"] = "26ms" }))
    assert.same({ "input/minute 10000000/10000000 26.00" }, told("anthropic", {
      ["anthropic-ratelimit-input-tokens-limit"] = "10000000",
      ["anthropic-ratelimit-input-tokens-remaining"] = "10000000",
      ["anthropic-ratelimit-input-tokens-reset"] = "2026-01-01T00:00:26Z" }))
    assert.same({ "requests/day 14399/14400 33011.38" }, told("cerebras", {
      ["x-ratelimit-limit-requests-day"] = "14400",
      ["x-ratelimit-remaining-requests-day"] = "14399",
      ["x-ratelimit-reset-requests-day"] = "33011.382867" }))
    assert.same({ "requests/day 0/20 15420.00" }, told("sambanova", {
      ["x-ratelimit-limit-requests-day"] = "20", ["x-ratelimit-remaining-requests-day"] = "0",
      ["x-ratelimit-reset-requests-day"] = "4h17m" }))
    assert.same({ "requests/minute 359/360 nil", "tokens/month 9999999370/10000000000 nil" },
      told("mistral", { ["x-ratelimit-limit-req-minute"] = "360",
        ["x-ratelimit-remaining-req-minute"] = "359",
        ["x-ratelimit-limit-tokens-month"] = "10000000000",
        ["x-ratelimit-remaining-tokens-month"] = "9999999370" }))
    assert.same({ "requests/second 19/10 2.00", "tokens/second 3000/3000 nil" }, told("together", {
      ["x-ratelimit-limit"] = "10", ["x-ratelimit-remaining"] = "19", ["x-ratelimit-reset"] = "2",
      ["x-ratelimit-limit-tokens"] = "3000", ["x-ratelimit-remaining-tokens"] = "3000" }))
    assert.same({ "requests/nil 0/50 3600.00" }, told("openrouter", { ["x-ratelimit-limit"] = "50",
      ["x-ratelimit-remaining"] = "0", ["x-ratelimit-reset"] = ("%d000"):format(NOW + 3600) }))
    assert.same({ "requests/nil 99/100 9.00" }, told("twelvelabs", { ["x-ratelimit-limit"] = "100",
      ["x-ratelimit-remaining"] = "99", ["x-ratelimit-reset"] = tostring(NOW + 9) }))
    assert.same({ "requests/minute 8/20 nil", "requests/month nil/1000 nil" }, told("cohere", {
      ["x-trial-endpoint-call-limit"] = "20", ["x-trial-endpoint-call-remaining"] = "8",
      ["x-endpoint-monthly-call-limit"] = "1000" }))
    -- The unit of its resets depends on the host.
    assert.same({ "requests/minute 119/120 nil" }, told("azure_openai", {
      ["x-ratelimit-limit-requests"] = "120", ["x-ratelimit-remaining-requests"] = "119",
      ["x-ratelimit-reset-requests"] = "500" }))
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

  it("learns input and output apart, and not what changes its meaning", function()
    wrapper:register_provider("anthropic", { base_url = "http://127.0.0.1:1/v1",
      default_model = "m", keys = { "sk-test-0123456789abcdefghij" } })
    local claude = wrapper:get_manager "anthropic"
    local lease = claude:get_key()
    lease:headers { ["anthropic-ratelimit-input-tokens-limit"] = "1000",
      ["anthropic-ratelimit-input-tokens-remaining"] = "400",
      ["anthropic-ratelimit-output-tokens-limit"] = "200",
      ["anthropic-ratelimit-tokens-limit"] = "200", ["anthropic-ratelimit-tokens-remaining"] = "0" }
    lease:commit(1)
    local held = claude:explain()[1].limits
    assert.same({ 1000, 200 }, { held.input_tokens_per_minute, held.output_tokens_per_minute })
    assert.is_nil(held.tokens_per_minute)
    local refused = select(2, claude:get_key("m", { estimated_tokens = 401 }))
    assert.equal("input_tokens_per_minute", refused.limit)
    assert.truthy(claude:get_key("m", { estimated_tokens = 400 }))
  end)

  it("takes the tightest of two that tell of one limit", function()
    local learned = {}
    manager:on("learn", function(event) learned[#learned + 1] = event.amount end)
    for _ = 1, 2 do
      local lease = manager:get_key "m"
      lease:headers { ["x-ratelimit-limit-tokens"] = "150000",
        ["x-ratelimit-remaining-tokens"] = "100000", ["x-ratelimit-limit-project-tokens"] = "60000",
        ["x-ratelimit-remaining-project-tokens"] = "57000" }
      lease:commit(1)
    end
    keycycle.step(0)
    assert.same({ 60000 }, learned)
    assert.is_nil((manager:get_key("m", { estimated_tokens = 57001 })))
    assert.truthy(manager:get_key("m", { estimated_tokens = 56998 }))
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
