--- Refusals in each provider's own words, raw over HTTP: recorded and documented bodies
--- whose status or code means another thing elsewhere. What the call does, and where the
--- key is then.
local keycycle = require "keycycle"
local conform = require "tests.support.conform"
local raises = require "tests.support.raises"

setup(conform.start)
teardown(conform.stop)

local NEXT_MONTH = 1894400 -- seconds after both clocks' begin
local UNPAID, DEAD = { "exhausted", false }, { "suspended", 60 }

local function envelope(message, kind, code)
  return { error = { message = message, type = kind, code = code } }
end

-- Each: a provider, what it says (status, body, headers), its kind, and the state of the
-- key: its name, and for how many seconds (false: nothing says; nil: not looked at).
local of_key = {
  { "openai", 429, envelope("You exceeded your current quota, please check your plan and billing "
    .. "details.", "insufficient_quota", "insufficient_quota"), "payment", UNPAID },
  { "openai", 429, envelope("Your organization has reached its spend limit.",
    "insufficient_quota", "organization_spend_limit_exceeded"), "payment", UNPAID },
  { "sambanova", 429, envelope("Rate limit exceeded", "insufficient_quota",
    "insufficient_quota"), "quota", { "cooling" } },
  { "anthropic", 400, { type = "error", error = { type = "invalid_request_error",
    message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
      .. "Billing to upgrade or purchase credits." } }, "payment", UNPAID },
  { "anthropic", 429, { type = "error", error = { type = "rate_limit_error",
    message = "spend limit", details = { error_code = "enforced_spend_limit_reached" } } },
    "quota", { "exhausted", NEXT_MONTH } },
  { "anthropic", 429, { type = "error", error = { type = "rate_limit_error",
    message = "This request would exceed the rate limit for your organization of 30,000 input "
      .. "tokens per minute." } }, "quota", { "cooling", 12 }, { ["retry-after"] = "12" } },
  { "gemini", 402, { error = { code = 402, message = "Your Prepay credit balance is depleted" } },
    "payment", UNPAID },
  { "gemini", 403, { error = { code = 403, status = "PERMISSION_DENIED", message = "Your API key "
    .. "was reported as leaked. Please use another API key." } }, "auth", DEAD },
  { "gemini_openai", 400, { { error = { code = 400, status = "INVALID_ARGUMENT",
    message = "API key expired. Please renew the API key." } } }, "auth", DEAD },
  { "cohere", 429, { message = "You are past the per minute request limit, please wait and try "
    .. "again later." }, "quota", { "cooling" } },
  { "openrouter", 402, { error = { code = 402, message = "This request requires more credits, or "
    .. "fewer max_tokens.", metadata = { limit_source = "openrouter_credits" } } }, "payment",
    UNPAID },
  { "openrouter", 429, { error = { code = 429, message = "Rate limit exceeded: "
    .. "free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    metadata = { headers = { ["X-RateLimit-Limit"] = "50", ["X-RateLimit-Remaining"] = "0",
    ["X-RateLimit-Reset"] = "1000080000000" } } } }, "quota", { "exhausted", 80000 } },
  { "cerebras", 429, { error = { type = "too_many_requests_error", param = "quota",
    message = "Tokens per hour limit exceeded - too many tokens processed.",
    code = "token_quota_exceeded" } }, "quota", { "exhausted", 1800 },
    { ["retry-after"] = "1800" } },
  { "twelvelabs", 429, "", "quota", { "exhausted", 3600 }, { ["x-ratelimit-limit"] = "100",
    ["x-ratelimit-remaining"] = "0", ["x-ratelimit-reset"] = "1000003600" } },
  { "azure_openai", 429, { error = { code = "RateLimitReached", message = "Your requests to "
    .. "gpt-4o-mini for gpt-4o-mini in westeurope have exceeded rate limit." } }, "quota",
    { "cooling", 30 }, { ["retry-after"] = "30", ["retry-after-ms"] = "0" } },
  { "mistral", 429, { object = "error", message = "Rate limit exceeded", type = "rate_limited",
    code = "1300", raw_status_code = 429 }, "quota", { "cooling" } },
  { "mistral", 401, { message = "Unauthorized", request_id = "mock" }, "auth", DEAD },
  { "deepseek", 402, envelope("Insufficient Balance", "unknown_error", "invalid_request_error"),
    "payment", UNPAID },
  { "deepseek", 401, envelope("Authentication Fails, Your api key is invalid",
    "authentication_error", "invalid_request_error"), "auth", DEAD },
  { "together", 402, envelope("Credit limit exceeded", "credit_limit", nil), "payment", UNPAID },
  { "fireworks", 412, { error = "Account mock is suspended, possibly due to reaching the monthly "
    .. "spending limit or failure to pay past invoices." }, "payment", UNPAID },
  { "xai", 400, { code = "invalid-argument", error = "Incorrect API key provided: sk***-1. You "
    .. "can obtain an API key from https://console.x.ai." }, "auth", DEAD },
  { "xai", 429, { code = "resource-exhausted", error = "Too many requests for team mock and model "
    .. "grok-4. Your team is at its limit: Requests per Minute (actual/limit): 2/2." }, "quota",
    { "cooling" } },
  { "perplexity", 401, { error = { message = "Invalid API key provided.", code = 401,
    type = "invalid_api_key" } }, "auth", DEAD },
  { "nvidia", 429, { status = 429, title = "Too Many Requests" }, "quota", { "cooling" } },
  { "huggingface", 402, { error = "You have exceeded your monthly included credits for Inference "
    .. "Providers. Subscribe to PRO to get 20x more monthly included credits." }, "quota",
    { "exhausted", NEXT_MONTH } },
  { "cloudflare", 429, { success = false, errors = { { code = 3036, message = "you have used up "
    .. "your daily free allocation of 10,000 neurons" } } }, "quota", { "exhausted", 80000 } },
  { "cloudflare", 403, { success = false, errors = { { code = 3023,
    message = "Account blocked" } } }, "auth", DEAD },
  { "vllm", 401, { error = "Unauthorized" }, "auth", DEAD },
  { "groq", 429, envelope("Rate limit reached for model `m` in organization `org_mock` service "
    .. "tier `on_demand` on tokens per day (TPD): Limit 200000, Used 197494, Requested 4035. "
    .. "Please try again in 11m0.528s.", "tokens", "rate_limit_exceeded"), "quota",
    { "exhausted", 660.528 } },
}

-- What no other key would help, or what passes: no key is put away. With the error's code.
local of_others = {
  { "openai", 503, envelope("The engine is currently overloaded.", "service_unavailable_error",
    "server_is_overloaded"), "overloaded" },
  { "openai", 400, envelope("Your input exceeds the context window of this model.",
    "invalid_request_error", "context_length_exceeded"), "context_length" },
  { "groq", 413, envelope("Request too large for model `m` in organization `org_mock` on tokens "
    .. "per minute (TPM): Limit 8000, Requested 10098", "tokens", "rate_limit_exceeded"),
    "request_too_large" },
  { "anthropic", 400, { type = "error", error = { type = "invalid_request_error",
    message = "prompt is too long: 213462 tokens > 200000 maximum" } }, "context_length" },
  { "gemini", 404, { error = { code = 404, status = "NOT_FOUND", message = "models/x is not found "
    .. "for API version v1beta" } }, "not_found" },
  { "cohere", 400, { message = "too many tokens: size limit exceeded by 1234 tokens",
    error_type = "TOO_MANY_TOKENS" }, "context_length" },
  { "openrouter", 429, { error = { code = 429, message = "High demand for x:free: limited to 3 "
    .. "requests per minute. Please retry shortly", metadata = {
    limit_source = "openrouter_shared_capacity" } } }, "overloaded" },
  { "cerebras", 429, { message = "We're experiencing high traffic right now!", param = "queue",
    type = "too_many_requests_error", code = "queue_exceeded" }, "overloaded" },
  { "azure_openai", 404, { error = { code = "DeploymentNotFound", message = "The API deployment "
    .. "for this resource does not exist." } }, "not_found" },
  { "mistral", 429, { object = "error", message = "Service tier capacity exceeded for this model.",
    type = "service_tier_capacity_exceeded", code = "3505" }, "overloaded" },
  { "mistral", 422, { detail = { { loc = { "body", "stream_options" }, type = "extra_forbidden",
    msg = "Extra inputs are not permitted" } } }, "invalid_request" },
  { "together", 503, envelope("The server is overloaded or not ready yet.", "server_error",
    "service_unavailable"), "overloaded" },
  { "perplexity", 400, { error = { message = "The total length of all messages is too long.",
    type = "too_many_prompt_tokens", code = 400 } }, "context_length" },
  { "xai", 400, { code = "invalid-argument", error = "This model's maximum prompt length is "
    .. "131072 but the request contains 200000 tokens." }, "context_length" },
  { "sambanova", 429, envelope("The queue is full", "server_error", "queue_full"),
    "overloaded" },
  { "cloudflare", 429, { success = false, errors = { { code = 3040,
    message = "Capacity temporarily exceeded, please try again." } } }, "overloaded" },
  { "ollama", 503, envelope("server busy, please try again.  maximum pending requests exceeded",
    "api_error", nil), "overloaded" },
  { "llamacpp", 503, { error = { code = 503, message = "Loading model",
    type = "unavailable_error" } }, "overloaded" },
  { "llamacpp", 400, { error = { code = 400, type = "exceed_context_size_error",
    message = "the request exceeds the available context size", n_prompt_tokens = 9000,
    n_ctx = 4096 } }, "context_length" },
}

local function answering(status, body, headers, key)
  local text = type(body) == "table" and keycycle.json.encode(body) or body
  return { faults = { { key = key, status = status, body = text, headers = headers } } }
end

-- What a refusal says, for the name of a test.
local function said(body)
  local text = type(body) == "table" and keycycle.json.encode(body) or "nothing"
  return #text > 60 and text:sub(1, 60) .. "…" or text
end

describe("a key that is refused by", function()
  for i, case in ipairs(of_key) do
    local name, status, body, kind, state, headers = table.unpack(case, 1, 6)
    it(("%s with %d (%d): %s"):format(name, status, i, said(body)), function()
      local s <close> = conform.open(name, answering(status, body, headers, 1))
      local info = keycycle.info(s:ask "Hello")
      assert.same({ { kind, "ok" }, { 1, 2 } }, { conform.trail(info.attempts, "kind"),
        conform.trail(info.attempts, "key_index") })
      local key = s.manager:keys()[1]
      assert.equal(state[1], key.state)
      if state[2] == false then
        assert.is_nil(key.until_at)
      elseif state[2] then
        assert.near(conform.START + state[2], key.until_at, 0.05)
      else
        local seconds = key.until_at - conform.START
        assert.is_true(seconds > 0 and seconds <= 60)
      end
      assert.equal("ready", s:states()[2])
    end)
  end
end)

describe("a refusal that is no key's fault by", function()
  for i, case in ipairs(of_others) do
    local name, status, body, code, headers = table.unpack(case, 1, 5)
    it(("%s with %d (%d): %s"):format(name, status, i, said(body)), function()
      local s <close> = conform.open(name, answering(status, body, headers),
        { policy = "fail_fast" })
      local err = raises(keycycle.APIError, nil, s.ask, s, "Hello")
      assert.same({ code, status, 1 }, { err.code, err.status, #err.attempts })
      assert.same({ "ready", "ready" }, s:states())
      assert.is_nil(tostring(err):find("%.lua:%d"))
    end)
  end
end)

describe("an answer that is none", function()
  it("is no transcript, where a proxy answers with a page", function()
    local s <close> = conform.open("openai", answering(200, "<html>Hello</html>",
      { ["content-type"] = "text/html" }))
    local err = raises(keycycle.TransportError, nil, s.client.audio.transcriptions.create,
      { model = "whisper-1", file = { data = "RIFF", filename = "a.wav" } }, { max_retries = 0 })
    assert.equal("garbage", err.code)
  end)
end)
