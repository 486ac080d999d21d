local keycycle = require "keycycle"
local classify = require "keycycle.classify"
local delays = require "keycycle.refusal.delay"
local provider = require "keycycle.provider"

local function kind(status, headers, body, name)
  return keycycle.classify(name or "unheard-of",
    { status = status, headers = headers or {}, body = body or "" }).kind
end

describe("a status alone #pure", function()
  local kinds = {
    [400] = "invalid_request", [401] = "auth", [402] = "payment", [403] = "permission_region",
    [404] = "not_found", [408] = "temporary", [409] = "invalid_request", [410] = "not_found",
    [412] = "invalid_request", [451] = "permission_region", [499] = "server", [520] = "server",
    [302] = "invalid_request", [501] = "invalid_request", [413] = "request_too_large",
    [422] = "invalid_request", [429] = "quota", [500] = "server",
    [502] = "server", [503] = "overloaded", [504] = "server", [529] = "overloaded",
    [599] = "server",
  }
  for status, want in pairs(kinds) do
    it(status .. " means " .. want, function()
      assert.equal(want, kind(status))
      assert.equal(want, kind(status, nil, nil, "openai"))
    end)
  end
end)

describe("a 429 #pure", function()
  it("is temporary while its delay is under ten seconds", function()
    assert.equal("temporary", kind(429, { ["retry-after"] = "9" }))
    assert.equal("temporary", kind(429, { ["retry-after"] = "0.5" }))
    assert.equal("temporary", kind(429, { ["retry-after-ms"] = "9999" }))
    assert.equal("quota", kind(429, { ["retry-after"] = "10" }))
    assert.equal("quota", kind(429, { ["retry-after-ms"] = "10000" }))
  end)

  it("is a spent quota when no delay can be understood", function()
    assert.equal("quota", kind(429, { ["retry-after"] = "soon" }))
    assert.equal("quota", kind(429, { ["retry-after"] = "" }))
  end)

  it("is about money where the provider's own code says so", function()
    local body = '{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}'
    assert.equal("payment", kind(429, nil, body, "openai"))
    assert.equal("payment", kind(429, nil, body, "groq"))
    assert.equal("payment", kind(429, nil, body))
    assert.equal("quota", kind(429, nil, body, "sambanova"))
  end)
end)

describe("the stated delay #pure", function()
  local function delay(value, name, now)
    return delays.of_headers({ [name or "retry-after"] = value }, now or keycycle.clock.now())
  end

  it("is read in seconds and in milliseconds", function()
    assert.equal(20, delay "20")
    assert.equal(1.5, delay "1.5")
    assert.equal(0.25, delay("250", "retry-after-ms"))
  end)

  it("is read from a date of HTTP", function()
    local at = delays.http_date "Wed, 21 Oct 2026 07:28:00 GMT"
    assert.equal(1792567680, at)
    assert.equal(30, delay("Wed, 21 Oct 2026 07:28:00 GMT", nil, at - 30))
    assert.equal(0, delays.http_date "Thu, 01 Jan 1970 00:00:00 GMT")
    assert.equal(951782400, delays.http_date "Tue, 29 Feb 2000 00:00:00 GMT")
    assert.is_nil(delays.http_date "Wed, 21 Foo 2026 07:28:00 GMT")
    assert.is_nil(delays.http_date "tomorrow")
  end)

  it("is at most a day", function()
    assert.equal(86400, delay "1000000000000")
    assert.equal(86400, delay "1e999")
    assert.equal(86400, delay("Fri, 31 Dec 9999 23:59:59 GMT", nil, 0))
  end)

  it("is none where it cannot be understood", function()
    for _, text in ipairs { "soon", "", "nan", "-", "1h", "{}" } do
      assert.is_nil(delay(text), text)
    end
    assert.is_nil(delays.of_headers(nil, 0))
    assert.is_nil(delays.of_headers({}, 0))
  end)

  it("is never negative", function()
    for _, text in ipairs { "-1", "-1e300", "Wed, 21 Oct 2015 07:28:00 GMT" } do
      local seconds = delay(text)
      assert.is_true(seconds == nil or seconds == 0, text)
    end
  end)
end)

describe("the provider's own codes #pure", function()
  local function coded(status, code)
    return kind(status, nil, ('{"error":{"message":"m","code":"%s"}}'):format(code), "openai")
  end

  it("are more exact than the status", function()
    assert.equal("context_length", coded(400, "context_length_exceeded"))
    assert.equal("content_policy", coded(400, "content_policy_violation"))
    assert.equal("not_found", coded(400, "model_not_found"))
    assert.equal("payment", coded(429, "billing_hard_limit_reached"))
    assert.equal("auth", coded(401, "invalid_api_key"))
    assert.equal("invalid_request", coded(400, "unknown_parameter"))
  end)

  it("are not searched for in sentences", function()
    assert.equal("invalid_request", kind(400, nil,
      '{"error":{"message":"user 429 said insufficient_quota and context_length_exceeded"}}',
      "openai"))
  end)

  it("say for whom they hold", function()
    local verdict = keycycle.classify("openai", { status = 400, headers = {},
      body = '{"error":{"code":"context_length_exceeded"}}' })
    assert.equal("request", verdict.scope)
    assert.equal("model", keycycle.classify("openai", { status = 429 }).scope)
    assert.equal("key", keycycle.classify("openai", { status = 401 }).scope)
    assert.equal("provider", keycycle.classify("openai", { status = 500 }).scope)
  end)
end)

describe("the time that a verdict states #pure", function()
  local NOW = 1767225600 -- 2026-01-01T00:00:00Z, 16:00 of the day before in Los Angeles
  local function of(name, body, headers, status)
    return classify.classify(provider.get(name), { status = status or 429, headers = headers,
      body = body }, NOW)
  end
  local function quota(id, delay)
    return keycycle.json.encode { error = { code = 429, status = "RESOURCE_EXHAUSTED",
      message = "Quota exceeded. Please retry in 8.5s.", details = {
        { ["@type"] = "RetryInfo", retryDelay = delay },
        { ["@type"] = "QuotaFailure", violations = { { quotaId = id } } } } } }
  end

  it("is the stated one, and for a day's quota also until the day is over", function()
    local verdict = of("gemini", quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "8s"))
    assert.same({ kind = "quota", scope = "model", window = "day", retry_after = 8.5,
      reset_after = 8 * 3600 }, verdict)
    assert.equal(8 * 3600, classify.cooling(verdict))
  end)

  it("makes a short quota temporary, and a day's never", function()
    assert.equal("temporary", of("gemini", quota("RequestsPerMinutePerModel", "8s")).kind)
    assert.equal("quota", of("gemini", quota("RequestsPerMinutePerModel", "18s")).kind)
    assert.equal("quota", of("gemini", quota("RequestsPerDay", "1s")).kind)
  end)

  it("is a reset that a rule's field or header names", function()
    local body = keycycle.json.encode { error = { code = 429, message = "free-models-per-day",
      metadata = { headers = { ["X-RateLimit-Reset"] = tostring((NOW + 90) * 1000) } } } }
    local verdict = of("openrouter", body)
    assert.equal("day", verdict.window)
    assert.equal(90, verdict.retry_after)
    assert.equal(86400, verdict.reset_after)
    local headers = { ["X-Ratelimit-Reset"] = tostring(NOW + 60) }
    assert.equal(60, of("twelvelabs", "", headers).retry_after)
    assert.equal(20, of("huggingface", '{"error":"loading","estimated_time":20.0}', nil, 503)
      .retry_after)
  end)

  it("is that of the headers before that of the body", function()
    assert.equal(5, of("gemini", quota("RequestsPerMinute", "30s"), { ["retry-after"] = "5" })
      .retry_after)
  end)

  it("is until the next month for a month's quota", function()
    local verdict = of("anthropic", keycycle.json.encode { error = { type = "rate_limit_error",
      details = { error_code = "enforced_spend_limit_reached" } } })
    assert.equal("month", verdict.window)
    assert.equal(31 * 86400, verdict.reset_after)
  end)

  it("is none where nothing states it", function()
    local verdict = of("openai", "slow down")
    assert.is_nil(verdict.retry_after)
    assert.is_nil(classify.cooling(verdict))
    assert.equal(7, classify.cooling { retry_after = 7 })
    assert.equal(7, classify.cooling { reset_after = 7 })
    assert.equal(9, classify.cooling { retry_after = 9, reset_after = 7 })
  end)
end)

describe("a provider's own function #pure", function()
  local lines
  local function acme(given)
    return keycycle.provider { name = "acme", classify = given }
  end
  local function verdict_of(given, response)
    return classify.classify(acme(given), response or { status = 429 })
  end
  before_each(function()
    lines = {}
    keycycle.log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() keycycle.log.set_sink(nil) end)

  it("decides before the rules, alone or at their head", function()
    local function payment() return { kind = "payment", scope = "group" } end
    local rule = { status = 429, kind = "overloaded" }
    assert.equal("payment", verdict_of(payment).kind)
    assert.equal("payment", verdict_of({ payment, rule }).kind)
    assert.equal("overloaded", verdict_of({ function() end, rule }).kind)
    assert.equal("overloaded", verdict_of({ function() end, function() end, rule }).kind)
    assert.equal("quota", verdict_of(function() end).kind)
  end)

  it("is told what came", function()
    local got
    local function look(response) got = response end
    verdict_of(look, { status = 429, headers = { ["X-A"] = 5 },
      body = '{"error":{"message":"m"}}' })
    assert.equal(429, got.status)
    assert.equal("5", got.headers["x-a"])
    assert.equal("m", got.body.error.message)
    assert.equal("m", got.message)
    verdict_of(look, { status = 500, body = "words" })
    assert.equal("words", got.body)
  end)

  it("has its verdict taken as it is, but for what is not understood", function()
    local verdict = verdict_of(function()
      return { kind = "quota", scope = "moon", window = "week", retry_after = 2, more = 1 }
    end)
    assert.same({ kind = "quota", scope = "key", retry_after = 2 }, verdict)
    for _, delay in ipairs { "soon", -1, 0 / 0, {} } do
      assert.is_nil(verdict_of(function() return { kind = "auth", retry_after = delay } end)
        .retry_after)
    end
    assert.equal(86400, verdict_of(function() return { kind = "quota", retry_after = 1e9 } end)
      .retry_after)
  end)

  it("is passed over, and logged once, when it raises or says nonsense", function()
    for _, fn in ipairs { function() error "boom" end, function() return { kind = "weird" } end,
      function() return "quota" end, function() return {} end } do
      lines = {}
      local adapter = acme { fn, { status = 429, kind = "overloaded" } }
      for _ = 1, 3 do
        assert.equal("overloaded", classify.classify(adapter, { status = 429 }).kind)
      end
      assert.equal(1, #lines)
      assert.is_truthy(lines[1]:find("acme", 1, true))
    end
  end)
end)

describe("an answer behind a gateway #pure", function()
  it("is classified by the status that it names, where the sent one hides it", function()
    local body = keycycle.json.encode { message = "failed",
      error = 'Error code: 401 - {"error":{"message":"m"}}' }
    assert.equal("auth", kind(500, nil, body))
    assert.equal("auth", kind(502, nil, body))
    assert.equal("auth", kind(200, nil, body))
    assert.equal("overloaded", kind(503, nil, body))
    assert.equal("quota", kind(429, nil, body))
  end)

  it("is classified by the innermost of its codes", function()
    local body = keycycle.json.encode { error = { code = "relay_failed", message = "failed",
      metadata = { raw = '{"error":{"code":"context_length_exceeded"}}' } } }
    assert.equal("context_length", kind(400, nil, body))
  end)

  it("does not lose the key that the router has at the provider", function()
    local body = keycycle.json.encode { error = { code = 401, message = "Provider returned error",
      metadata = { raw = '{"error":{"code":"invalid_api_key"}}', provider_name = "OpenAI" } } }
    assert.equal("server", kind(401, nil, body, "openrouter"))
    assert.equal("auth", kind(401, nil, '{"error":{"code":401,"message":"m"}}', "openrouter"))
  end)
end)

describe("an error inside a 200 #pure", function()
  it("is classified by the status that it names", function()
    assert.equal("quota", kind(200, nil, '{"error":{"code":429,"message":"m"}}'))
    assert.equal("quota", kind(200, nil, '{"error":{"code":"429","message":"m"}}'))
    assert.equal("auth", kind(200, nil, '{"error":{"status":401}}'))
    assert.equal("context_length",
      kind(200, nil, '{"error":{"code":"context_length_exceeded"}}', "openai"))
    assert.equal("payment", kind(200, nil, '{"error":{"type":"insufficient_quota"}}'))
    assert.equal("quota", kind(200, nil, '{"error":{"type":"rate_limit_error"}}'))
    assert.equal("overloaded", kind(200, nil,
      'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n', "anthropic"))
  end)

  it("is the server's fault where it names none", function()
    assert.equal("server", kind(200, nil, '{"error":"broken"}'))
    assert.equal("server", kind(200, nil, '{"error":{"code":7}}'))
  end)
end)

describe("no body #pure", function()
  local bodies = {
    "", "{", "[", "null", "[]", "{}", '{"error":null}', '{"error":[]}', '{"error":{}}',
    '{"error":{"code":{}}}', '{"error":{"code":[1,2],"status":{}}}', '{"error":true}',
    '{"error":{"code":1e308}}', '{"error":{"message":{"a":1}}}', '"text"', "\255\254",
    ("["):rep(5000), '{"error":{"code":"' .. ("x"):rep(100000) .. '"}}', "<html></html>",
    '[{"error":{"code":429}}]', "{\"error\":{\"code\":\"a\\u0000b\"}}",
  }
  it("can make it raise", function()
    for _, body in ipairs(bodies) do
      for _, status in ipairs { 200, 400, 401, 429, 500 } do
        for _, name in ipairs { "openai", "unheard-of" } do
          local verdict = keycycle.classify(name, { status = status, body = body })
          assert.equal("string", type(verdict.kind))
        end
      end
    end
  end)

  it("gives a message that is not text, or that has no end", function()
    for _, body in ipairs(bodies) do
      local message = classify.message(body)
      assert.is_true(message == nil or type(message) == "string")
    end
    local long = classify.message { error = { message = ("x"):rep(10000) } }
    assert.is_true(#long < 600)
    assert.equal("m", classify.message '{"error":{"message":"m"}}')
    assert.equal("m", classify.message '{"error":"m"}')
    assert.equal("m", classify.message '{"message":"m"}')
  end)
end)
