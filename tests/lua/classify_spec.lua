local keycycle = require "keycycle"
local classify = require "keycycle.classify"

local function kind(status, headers, body, provider)
  return keycycle.classify(provider or "unheard-of",
    { status = status, headers = headers or {}, body = body or "" }).kind
end

describe("a status alone", function()
  local kinds = {
    [400] = "invalid_request", [401] = "auth", [402] = "payment", [403] = "permission_region",
    [404] = "not_found", [408] = "temporary", [409] = "invalid_request",
    [413] = "request_too_large", [422] = "invalid_request", [429] = "quota", [500] = "server",
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

describe("a 429", function()
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
    assert.equal("quota", kind(429, nil, body))
  end)
end)

describe("the stated delay", function()
  local function delay(value, name, now)
    return classify.retry_after({ [name or "retry-after"] = value }, now)
  end

  it("is read in seconds and in milliseconds", function()
    assert.equal(20, delay "20")
    assert.equal(1.5, delay "1.5")
    assert.equal(0.25, delay("250", "retry-after-ms"))
  end)

  it("is read from a date of HTTP", function()
    local at = classify.http_date "Wed, 21 Oct 2026 07:28:00 GMT"
    assert.equal(1792567680, at)
    assert.equal(30, delay("Wed, 21 Oct 2026 07:28:00 GMT", nil, at - 30))
    assert.equal(0, classify.http_date "Thu, 01 Jan 1970 00:00:00 GMT")
    assert.equal(951782400, classify.http_date "Tue, 29 Feb 2000 00:00:00 GMT")
    assert.is_nil(classify.http_date "Wed, 21 Foo 2026 07:28:00 GMT")
    assert.is_nil(classify.http_date "tomorrow")
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
    assert.is_nil(classify.retry_after(nil))
    assert.is_nil(classify.retry_after {})
  end)

  it("is never negative", function()
    for _, text in ipairs { "-1", "-1e300", "Wed, 21 Oct 2015 07:28:00 GMT" } do
      local seconds = delay(text)
      assert.is_true(seconds == nil or seconds == 0, text)
    end
  end)
end)

describe("the provider's own codes", function()
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

describe("an error inside a 200", function()
  it("is classified by the status that it names", function()
    assert.equal("quota", kind(200, nil, '{"error":{"code":429,"message":"m"}}'))
    assert.equal("quota", kind(200, nil, '{"error":{"code":"429","message":"m"}}'))
    assert.equal("auth", kind(200, nil, '{"error":{"status":401}}'))
    assert.equal("context_length",
      kind(200, nil, '{"error":{"code":"context_length_exceeded"}}', "openai"))
  end)

  it("is the server's fault where it names none", function()
    assert.equal("server", kind(200, nil, '{"error":"broken"}'))
    assert.equal("server", kind(200, nil, '{"error":{"code":7}}'))
  end)
end)

describe("no body", function()
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
        for _, provider in ipairs { "openai", "unheard-of" } do
          local verdict = keycycle.classify(provider, { status = status, body = body })
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
