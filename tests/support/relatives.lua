--- The relatives of OpenAI that the mock has no style for, as dialects of it: their
--- paths, where their streams tell the usage, what they refuse and in which words (the
--- fact sheet's recorded and documented bodies).
local anthropic = require "keycycle.mock.anthropic_messages"
local cohere = require "keycycle.mock.cohere"
local family = require "keycycle.mock.openai_family"
local json = require "keycycle.json"
local openrouter = require "keycycle.mock.openrouter"

local relatives = {}

local null = json.null

-- One of the mock's routes at another path.
local function at(path, route, more)
  local copy = {}
  for k, v in pairs(route) do copy[k] = v end
  copy.path = path
  for k, v in pairs(more or {}) do copy[k] = v end
  return copy
end

local function cohere_route(path)
  for _, route in ipairs(cohere.routes) do
    if route.path == path then return route end
  end
end

-- Rerank as the relatives have it: with tokens for its usage.
local function rerank(path)
  local route = cohere_route "^/v2/rerank$"
  return at(path, route, { answer = function(ask, t)
    local body = route.answer(ask, t)
    body.meta = nil
    body.usage = { prompt_tokens = ask.input, completion_tokens = 0, total_tokens = ask.input }
    return body
  end })
end

local function envelope(message, kind, code, param)
  return { error = { message = message, type = kind, code = code, param = param } }
end

local function says(status, body, headers)
  return function() return status, body, headers end
end

-- `limited` of two windows.
local function by_window(windows)
  return function(about) return windows[about.window](about) end
end

local function define(name, o)
  o.limits, o.models = o.limits or {}, { o.model or "m" }
  relatives[name] = family.new(o)
end

-- What Mistral refuses and others do not: fields it has not, ids that are not its own.
local function strict(route)
  local read = route.read
  function route.read(body, ...)
    if body.stream_options ~= nil or body.seed ~= nil then
      return nil, { status = 422, message = "Extra inputs are not permitted" }
    end
    for _, message in ipairs(body.messages or {}) do
      local id = message.tool_call_id or message.tool_calls and message.tool_calls[1].id
      if id and not id:find("^" .. ("%w"):rep(9) .. "$") then
        return nil, { message = "Tool call id was " .. id .. " but must be a-z, A-Z, 0-9, with a "
          .. "length of 9." }
      end
    end
    return read(body, ...)
  end
end

define("mistral", {
  base = "/v1", endpoints = { "chat", "embeddings", "models", "transcriptions" },
  shape = { usage = "last" },
  errors = {
    auth = says(401, { detail = "Invalid API Key" }),
    limited = by_window {
      minute = says(429, { object = "error", message = "Rate limit exceeded", param = null,
        type = "rate_limited", code = "1300", raw_status_code = 429 }),
      day = says(429, { object = "error", message = "Requests rate limit exceeded", param = null,
        type = "rate_limited", code = "1300" }, { ["x-ratelimit-remaining-tokens-month"] = "0",
        ["x-ratelimit-limit-tokens-month"] = "1000000000" }),
    },
    overloaded = says(429, { object = "error", param = null, code = "3505",
      message = "Service tier capacity exceeded for this model.",
      type = "service_tier_capacity_exceeded" }),
  },
})
strict(relatives.mistral.routes[1])

define("deepseek", {
  base = "", endpoints = { "chat", "responses", "models" }, shape = { usage = "last" },
  errors = {
    auth = says(401, envelope("Authentication Fails, Your api key is invalid",
      "authentication_error", "invalid_request_error", null)),
    limited = says(429, envelope("Rate limit reached", "rate_limit_error", null, null)),
    unpaid = says(402, envelope("Insufficient Balance", "unknown_error", "invalid_request_error",
      null)),
    overloaded = says(503, envelope("Service is too busy. We advise users to temporarily switch "
      .. "to alternative LLM API service providers.", "service_unavailable_error", null, null)),
  },
})

define("together", {
  base = "/v1", endpoints = { "chat", "embeddings", "models", "transcriptions" },
  shape = { usage = "last" },
  routes = { rerank "^/v1/rerank$" },
  errors = {
    auth = says(401, envelope("Invalid API key provided. You can find your API key at "
      .. "https://api.together.xyz/settings/api-keys.", "invalid_request_error",
      "invalid_api_key", null)),
    limited = says(429, envelope("You have reached your dynamic rate limit", "rate_limit",
      "dynamic_request_limited", null), { ["x-ratelimit-limit"] = "10",
      ["x-ratelimit-remaining"] = "0", ["x-ratelimit-reset"] = "20" }),
    unpaid = says(402, envelope("Credit limit exceeded", "credit_limit", null, null)),
    overloaded = says(503, envelope("The server is overloaded or not ready yet.",
      "server_error", "service_unavailable", null)),
  },
})

define("fireworks", {
  base = "/inference/v1", endpoints = { "chat", "responses", "embeddings", "models" },
  shape = { usage = "last" },
  routes = { rerank "^/inference/v1/rerank$", at("^/inference/v1/messages$", anthropic.route) },
  errors = {
    auth = says(401, { error = "unauthorized" }),
    limited = says(429, { error = { object = "error", type = "invalid_request_error",
      code = "rate_limit_exceeded", message = "Rate limit exceeded, please try again later" } },
      { ["retry-after"] = "20", ["x-ratelimit-over-limit"] = "yes" }),
    unpaid = says(412, { error = "Account mock is suspended, possibly due to reaching the "
      .. "monthly spending limit or failure to pay past invoices." }),
    overloaded = says(503, { error = { object = "error", type = "server_error",
      message = "The server is currently overloaded" } }),
  },
})

-- "code" and "error" stand side by side, both texts.
local function of_xai(status, code, text)
  return says(status, { code = code, error = text })
end

define("xai", {
  base = "/v1", endpoints = { "chat", "responses", "embeddings", "models" },
  shape = { usage = "always",
    -- The completion is told without its reasoning, the total with it.
    answer = function(body)
      local usage = body.usage
      usage.completion_tokens = usage.completion_tokens
        - usage.completion_tokens_details.reasoning_tokens
    end,
    chunk = function(body, place)
      if place ~= "usage" then return end
      body.usage.completion_tokens = body.usage.completion_tokens
        - body.usage.completion_tokens_details.reasoning_tokens
    end },
  errors = {
    auth = of_xai(400, "invalid-argument", "Incorrect API key provided: sk***-1. You can obtain "
      .. "an API key from https://console.x.ai."),
    limited = of_xai(429, "resource-exhausted", "Too many requests for team mock and model "
      .. "grok-4. Your team is at its limit: Requests per Minute (actual/limit): 2/2."),
    overloaded = of_xai(503, "unavailable", "The service is currently unavailable"),
  },
})

define("perplexity", {
  base = "/v1", endpoints = { "responses", "embeddings", "models" }, shape = {},
  errors = {
    auth = says(401, envelope("Invalid API key provided.", "invalid_api_key", 401)),
    limited = says(429, envelope("Request rate limit exceeded, please try again later.",
      "rate_limit_exceeded", 429)),
    overloaded = says(503, envelope("Service temporarily unavailable", "service_unavailable",
      503)),
  },
})

define("nvidia", {
  base = "/v1", endpoints = { "chat", "embeddings", "models" }, shape = { usage = "asked" },
  errors = {
    auth = says(401, { status = 401, title = "Unauthorized", detail = "Authentication failed" }),
    limited = says(429, { status = 429, title = "Too Many Requests" }),
    overloaded = says(503, { status = 503, title = "Service Unavailable" }),
  },
})

define("sambanova", {
  base = "/v1", endpoints = { "chat", "embeddings", "models", "transcriptions" },
  shape = { usage = "asked" },
  errors = {
    auth = says(401, { request_id = "mock", error = { message = "Invalid API key",
      type = "invalid_request_error", param = null, code = "invalid_authentication" } }),
    limited = function(about)
      local day = about.window == "day"
      return 429, { request_id = "mock", error = { message = "Rate limit exceeded", param = null,
        type = "insufficient_quota", code = "insufficient_quota" } }, {
        ["x-ratelimit-limit-requests"] = "20", ["x-ratelimit-reset-requests"] = "20s",
        ["x-ratelimit-remaining-requests"] = day and "19" or "0",
        ["x-ratelimit-limit-requests-day"] = "12000",
        ["x-ratelimit-remaining-requests-day"] = day and "0" or "11980",
        ["x-ratelimit-reset-requests-day"] = "4h17m" }
    end,
    overloaded = says(429, { request_id = "mock", error = { message = "The queue is full",
      type = "server_error", param = null, code = "queue_full" } }),
  },
})

define("huggingface", {
  base = "/v1", endpoints = { "chat", "responses", "models" }, shape = { usage = "asked" },
  errors = {
    auth = says(401, { error = "Invalid username or password." }),
    limited = by_window {
      minute = says(429, { error = { message = "Rate limit exceeded" } },
        { ratelimit = '"api";r=0;t=112' }),
      day = says(402, { error = "You have exceeded your monthly included credits for Inference "
        .. "Providers. Subscribe to PRO to get 20x more monthly included credits." }),
    },
    overloaded = says(503, { error = "Model is overloaded, please wait for a bit" }),
  },
})

local function of_cloudflare(status, code, text)
  return says(status, { result = null, success = false, messages = json.array {},
    errors = { { code = code, message = text } } })
end

define("cloudflare", {
  base = "/client/v4/accounts/ACCOUNT/ai/v1",
  endpoints = { "chat", "responses", "embeddings" }, shape = { usage = "last" },
  routes = { { method = "GET", path = "^/client/v4/accounts/ACCOUNT/ai/models/search$",
    silent = true, read = function() return { said = "", input = 0, model = "models" } end,
    answer = function() return { success = true, result = json.array {} } end } },
  errors = {
    auth = of_cloudflare(401, 10000, "Authentication error"),
    limited = of_cloudflare(429, 4006, "you have used up your daily free allocation of 10,000 "
      .. "neurons, please upgrade to Cloudflare's Workers Paid plan if you would like to "
      .. "continue usage."),
    overloaded = of_cloudflare(429, 3040, "Capacity temporarily exceeded, please try again."),
  },
})
for _, route in ipairs(relatives.cloudflare.routes) do
  route.path = route.path:gsub("ACCOUNT", "%%x+")
end

define("ollama", {
  base = "/v1", endpoints = { "chat", "responses", "embeddings", "models" },
  shape = { usage = "asked" },
  errors = {
    auth = says(401, envelope("unauthorized", "api_error", null, null)),
    limited = says(429, envelope("you've reached your hourly usage limit, please upgrade to "
      .. "continue", "api_error", null, null)),
    overloaded = says(503, envelope("server busy, please try again.  maximum pending requests "
      .. "exceeded", "api_error", null, null)),
  },
})

define("llamacpp", {
  base = "/v1", endpoints = { "chat", "responses", "embeddings", "models" },
  routes = { rerank "^/v1/rerank$" },
  shape = { usage = "asked" },
  errors = {
    auth = says(401, { error = { code = 401, message = "Invalid API Key",
      type = "authentication_error" } }),
    overloaded = says(503, { error = { code = 503, message = "Loading model",
      type = "unavailable_error" } }),
  },
})

define("vllm", {
  base = "/v1", endpoints = { "chat", "responses", "embeddings", "models", "transcriptions" },
  routes = { rerank "^/v1/rerank$" },
  shape = { usage = "asked" },
  errors = {
    auth = says(401, { error = "Unauthorized" }),
    overloaded = says(503, { error = { message = "The server is overloaded", param = null,
      type = "ServiceUnavailableError", code = 503 } }),
  },
})

-- What the mock's OpenRouter has not.
table.insert(openrouter.routes, rerank "^/api/v1/rerank$")
table.insert(openrouter.routes, at("^/api/v1/messages$", anthropic.route))

return relatives
