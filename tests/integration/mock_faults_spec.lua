--- What the mock refuses in each style: the providers' own statuses, bodies and headers.
local styles = require "tests.support.styles"

-- The value at a path like "error.details.1.reason".
local function at(value, path)
  for step in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    local key = math.tointeger(tonumber(step)) or step
    value = value[key]
  end
  return value
end

-- A refusal: its status, texts by path (a text ending in "…" is a beginning), headers.
local function is(answer, status, body, headers)
  assert.equal(status, answer.status, answer.body)
  for path, want in pairs(body) do
    local got = at(answer.json, path)
    local start = type(want) == "string" and want:match "^(.*)…$"
    assert.equal(start or want, start and tostring(got):sub(1, #start) or got, answer.body)
  end
  for name, want in pairs(headers or {}) do
    assert.equal(want or nil, answer.headers[name], name)
  end
end

local NO_DELAY = { ["retry-after"] = false }

local faults = {
  auth = {
    openai = { 401, { ["error.code"] = "invalid_api_key", ["error.type"] = "invalid_request_error",
      ["error.message"] = "Incorrect API key provided: …" } },
    anthropic = { 401, { type = "error", ["error.type"] = "authentication_error",
      ["error.message"] = "invalid x-api-key", request_id = "req_mock…" },
      { ["x-should-retry"] = "false" } },
    azure = { 401, { ["error.code"] = "401",
      ["error.message"] = "Access denied due to invalid subscription key or wrong API …" } },
    cerebras = { 401, { code = "wrong_api_key", message = "Wrong API Key",
      type = "invalid_request_error", param = "api_key" } },
    cohere = { 401, { message = "Incorrect API key provided: ***********. …", id = "mock-…" } },
    gemini = { 400, { ["error.status"] = "INVALID_ARGUMENT", ["error.code"] = 400,
      ["error.message"] = "API key not valid. Please pass a valid API key.",
      ["error.details.1.reason"] = "API_KEY_INVALID",
      ["error.details.1.@type"] = "type.googleapis.com/google.rpc.ErrorInfo" } },
    groq = { 401, { ["error.message"] = "Invalid API Key", ["error.code"] = "invalid_api_key" } },
    openrouter = { 401, { ["error.code"] = 401 } },
    twelvelabs = { 401, { code = "api_key_invalid",
      message = "API Key is either invalid or expired. …" } },
  },
  overloaded = {
    openai = { 503, { ["error.code"] = "server_is_overloaded",
      ["error.type"] = "service_unavailable_error" } },
    anthropic = { 529, { ["error.type"] = "overloaded_error", ["error.message"] = "Overloaded" } },
    azure = { 429, { ["error.message"] = "The system is currently experiencing high demand…" } },
    cerebras = { 429, { code = "queue_exceeded", type = "too_many_requests_error" } },
    cohere = { 503, { message = "Service Unavailable…" } },
    gemini = { 503, { ["error.status"] = "UNAVAILABLE", ["error.code"] = 503,
      ["error.message"] = "The model is overloaded. Please try again later." } },
    groq = { 498, { ["error.code"] = "capacity_exceeded" } },
    openrouter = { 429, { ["error.message"] = "Provider returned error", ["error.code"] = 429,
      ["error.metadata.raw"] = "m is temporarily rate-limited upstream. Please retry shortly, …",
      ["error.metadata.limit_source"] = "upstream_provider_shared_pool" }, NO_DELAY },
    twelvelabs = { 503, { code = "service_unavailable" } },
  },
  minute = {
    openai = { 429, { ["error.code"] = "rate_limit_exceeded", ["error.type"] = "requests",
      ["error.message"] = "Rate limit reached for m in organization org-mock on requests per min "
        .. "(RPM): Limit 20, Used 20, Requested 1. Please try again in 20s. …" },
      { ["retry-after"] = "20" } },
    anthropic = { 429, { ["error.type"] = "rate_limit_error",
      ["error.message"] = "This request would exceed the rate limit for your organization (mock) "
        .. "of 20 requests per minute. …" }, { ["retry-after"] = "20" } },
    azure = { 429, { ["error.code"] = "429", ["error.message"] = "Requests to the "
      .. "ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded "
      .. "call rate limit of your current OpenAI S0 pricing tier. Please retry after 20 seconds…" },
      { ["retry-after"] = "20", ["retry-after-ms"] = "20000" } },
    cerebras = { 429, { message = "Requests per minute limit exceeded - too many requests sent.",
      type = "too_many_requests_error", param = "quota", code = "request_quota_exceeded" },
      { ["retry-after"] = "20" } },
    cohere = { 429, { message = "You are using a Trial key, which is limited to 20 API calls / "
      .. "minute. …" }, NO_DELAY },
    gemini = { 429, { ["error.status"] = "RESOURCE_EXHAUSTED",
      ["error.message"] = "You exceeded your current quota, please check your plan and billing …",
      ["error.details.2.violations.1.quotaId"] =
        "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
      ["error.details.2.violations.1.quotaValue"] = "20",
      ["error.details.2.@type"] = "type.googleapis.com/google.rpc.QuotaFailure",
      ["error.details.3.@type"] = "type.googleapis.com/google.rpc.RetryInfo",
      ["error.details.3.retryDelay"] = "20s" }, NO_DELAY },
    groq = { 429, { ["error.code"] = "rate_limit_exceeded", ["error.type"] = "requests",
      ["error.message"] = "Rate limit reached for model `m` in organization `org_mock` service "
        .. "tier `on_demand` on requests per minute (RPM): Limit 20, Used 20, Requested 1. Please "
        .. "try again in 20s.…" }, { ["retry-after"] = "20" } },
    openrouter = { 429, { ["error.message"] = "Rate limit exceeded: free-models-per-min. ",
      ["error.code"] = 429, ["error.metadata.headers.X-RateLimit-Remaining"] = "0",
      ["error.metadata.headers.X-RateLimit-Reset"] = "1000000020000" },
      { ["x-ratelimit-reset"] = "1000000020000", ["retry-after"] = "20" } },
    twelvelabs = { 429, {}, { ["x-ratelimit-remaining"] = "0", ["x-ratelimit-limit"] = "20",
      ["x-ratelimit-reset"] = "1000000020", ["retry-after"] = false } },
  },
  day = {
    openai = { 429, { ["error.message"] = "Rate limit reached for m in organization org-mock on "
      .. "requests per day (RPD): Limit 50, Used 50, Requested 1. Please try again in 1h0m0s…" } },
    anthropic = { 429, { ["error.type"] = "rate_limit_error",
      ["error.message"] = "Number of request tokens has exceeded your daily rate limit …" } },
    azure = { 429, {}, { ["retry-after"] = "86400" } },
    cerebras = { 429, { message = "Requests per day limit exceeded - too many requests sent.",
      code = "request_quota_exceeded" } },
    cohere = { 429, { message = "You are using a Trial key, which is limited to 50 API calls / "
      .. "month. …" }, NO_DELAY },
    gemini = { 429, { ["error.details.2.violations.1.quotaId"] =
      "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
      ["error.details.3.retryDelay"] = "38s" } },
    groq = { 429, { ["error.message"] = "Rate limit reached for model `m` in organization "
      .. "`org_mock` service tier `on_demand` on requests per day (RPD): Limit 50, Used 50, …" } },
    openrouter = { 429, { ["error.message"] = "Rate limit exceeded: free-models-per-day. Add 10 "
      .. "credits to unlock 1000 free model requests per day",
      ["error.metadata.limit_source"] = "openrouter_free_tier_daily",
      ["error.metadata.headers.X-RateLimit-Limit"] = "50" },
      -- 2001-09-09 01:46:40 UTC is the mock's beginning, midnight is 80000 s later.
      { ["x-ratelimit-reset"] = "1000080000000", ["retry-after"] = "80000" } },
    twelvelabs = { 429, {}, { ["x-ratelimit-reset"] = "1000080000" } },
  },
  context = {
    openai = { 400, { ["error.code"] = "context_length_exceeded",
      ["error.message"] = "Your input exceeds the context window of this model. …" } },
    anthropic = { 400, { ["error.type"] = "invalid_request_error",
      ["error.message"] = "prompt is too long: 213462 tokens > 200000 maximum" } },
    azure = { 400, { ["error.code"] = "context_length_exceeded" } },
    cerebras = { 400, { code = "context_length_exceeded", param = "validation_error",
      message = "Please reduce the length of the messages or completion. …" } },
    cohere = { 400, { error_type = "TOO_MANY_TOKENS",
      message = "too many tokens: size limit exceeded by …" } },
    gemini = { 400, { ["error.status"] = "INVALID_ARGUMENT", ["error.message"] = "The input token "
      .. "count (1250074) exceeds the maximum number of tokens allowed (1048576)." } },
    groq = { 400, { ["error.message"] = "Please reduce the length of the messages …" } },
    openrouter = { 400, { ["error.message"] = "This endpoint's maximum context length is 200000 …",
      ["error.metadata.error_type"] = "context_length_exceeded" } },
    twelvelabs = { 400, { code = "token_limit_exceeded" } },
  },
  not_found = {
    openai = { 404, { ["error.code"] = "model_not_found", ["error.message"] = "The model `m` does "
      .. "not exist or you do not have access to it." } },
    anthropic = { 404, { ["error.type"] = "not_found_error", ["error.message"] = "model: m" } },
    azure = { 404, { ["error.code"] = "DeploymentNotFound" } },
    cerebras = { 404, { code = "model_not_found" } },
    cohere = { 404, { message = "model 'm' not found, make sure the correct model ID …" } },
    gemini = { 404, { ["error.status"] = "NOT_FOUND",
      ["error.message"] = "models/m is not found for API version v1beta…" } },
    groq = { 404, { ["error.code"] = "model_not_found" } },
    openrouter = { 404, { ["error.message"] = "No endpoints found for m." } },
    twelvelabs = { 404, { code = "resource_not_exists" } },
  },
  policy = {
    openai = { 400, { ["error.code"] = "content_policy_violation" } },
    anthropic = { 200, { stop_reason = "refusal" } },
    azure = { 400, { ["error.code"] = "content_filter", ["error.innererror.code"] =
      "ResponsibleAIPolicyViolation", ["error.innererror.content_filter_result.violence.filtered"] =
      true } },
    cerebras = { 400, { code = "content_policy_violation" } },
    cohere = { 200, { finish_reason = "ERROR" } },
    gemini = { 200, { ["promptFeedback.blockReason"] = "SAFETY" } },
    groq = { 400, { ["error.code"] = "content_policy_violation" } },
    openrouter = { 403, { ["error.code"] = 403, ["error.metadata.reasons.1"] = "violence" } },
    twelvelabs = { 400, { code = "content_policy_violation" } },
  },
}

-- The same faults by OpenAI's form, each in a list.
for fault, by_style in pairs(faults) do
  local status, body, headers = table.unpack(by_style.gemini, 1, 3)
  local listed = {}
  for path, want in pairs(body) do listed["1." .. path] = want end
  by_style.gemini_openai = { status, listed, headers }
  if fault == "policy" then
    by_style.gemini_openai = { 200, { ["choices.1.finish_reason"] = "content_filter" } }
  end
end

-- The last event of a stream that breaks off with an error.
local broken = {
  openai = { ["error.type"] = "server_error" },
  anthropic = { type = "error", ["error.type"] = "overloaded_error" },
  azure = { ["error.type"] = "server_error" },
  cerebras = { status_code = 500, ["error.code"] = "server_error" },
  cohere = { type = "message-end", ["delta.finish_reason"] = "ERROR" },
  gemini = { ["error.status"] = "UNAVAILABLE", ["error.code"] = 503 },
  gemini_openai = { ["1.error.status"] = "UNAVAILABLE" },
  groq = { ["x_groq.error"] = "over capacity" },
  openrouter = { ["error.code"] = 502, ["choices.1.finish_reason"] = "error" },
  twelvelabs = { event_type = "stream_end", ["error.message"] = "An internal error occurred" },
}

for _, name in ipairs(styles.names) do
  describe("a refusal in the style " .. name, function()
    local mock
    setup(function() mock = styles.start(name) end)
    teardown(function() mock:stop() end)

    for fault, by_style in pairs(faults) do
      it("says " .. fault .. " as the provider does", function()
        is(mock:say("mock:fault=" .. fault), table.unpack(by_style[name], 1, 3))
      end)
    end

    it("refuses a wrong key as a dead one", function()
      is(mock:say("hi", { key = "sk-nobody-0123456789" }), table.unpack(faults.auth[name], 1, 3))
      local refused = mock:say("hi", { key = "sk-nobody-0123456789" })
      assert.is_nil(refused.body:find("0123456", 1, true))
    end)

    it("has a server's error of any status, with the delay that is asked for", function()
      local answer = mock:say "mock:status=502 retry_after=1.5"
      assert.equal(502, answer.status)
      local in_body = name:find "^gemini" ~= nil
      assert.equal(not in_body and "1.5" or nil, answer.headers["retry-after"])
      if in_body then
        local body = answer.json[1] or answer.json
        assert.equal("1s", body.error.details[1].retryDelay)
      end
    end)

    it("breaks a stream off with an event, after two pieces of the answer", function()
      local answer = mock:stream "mock:fault=midstream"
      assert.equal(200, answer.status)
      for path, want in pairs(broken[name]) do
        assert.equal(want, at(answer.events[#answer.events].data, path), answer.body)
      end
      assert.truthy(answer.body:find(" two three four", 1, true), answer.body)
      assert.is_nil(answer.body:find("seven", 1, true))
    end)

    it("cuts an answer and a stream off in the middle", function()
      for _, send in ipairs { mock.say, mock.stream } do
        local ok, err = pcall(send, mock, "mock:fault=cut")
        assert.same({ false, "cut" }, { ok, err.code })
      end
      assert.equal(200, mock:say("hi").status)
    end)

    it("has no body where the provider has none", function()
      local body = mock:say("mock:fault=minute").body
      assert.equal(name == "twelvelabs", body == "")
    end)

    it("knows no other fault", function()
      local answer = mock:say "mock:fault=nothing"
      assert.equal(400, answer.status)
      assert.truthy(answer.body:find("The mock has no fault nothing", 1, true))
    end)
  end)

  describe("a key in the style " .. name, function()
    local mock
    after_each(function() mock:stop() end)

    it("may be dead", function()
      mock = styles.start(name, "--dead " .. styles.KEY)
      is(mock:say "hi", table.unpack(faults.auth[name], 1, 3))
      assert.equal(200, mock:say("hi", { key = styles.OTHER }).status)
      local written = mock:journal()
      assert.same({ 1, 1, 0 }, { written.keys[1].failed, written.keys[2].ok, written.auth_failed })
    end)

    it("may be spent for a day", function()
      mock = styles.start(name, "--spent " .. styles.KEY)
      local refused = mock:say "hi"
      is(refused, 429, {})
      assert.equal(200, mock:say("hi", { key = styles.OTHER }).status)
      mock:advance(86400)
      assert.equal(200, mock:say("hi").status)
    end)

    it("has its requests a minute, and gets them back", function()
      mock = styles.start(name, "--rpm 2")
      assert.equal(200, mock:say("one").status)
      mock:advance(30)
      assert.equal(200, mock:say("two").status)
      local refused = mock:say "three"
      assert.equal(429, refused.status)
      assert.equal(200, mock:say("hi", { key = styles.OTHER }).status)
      mock:advance(30)
      assert.equal(200, mock:say("four").status)
      assert.same({ 4, 3, 1 }, { mock:journal().keys[1].requests, mock:journal().keys[1].ok,
        mock:journal().keys[1].refused })
    end)
  end)
end
