--- The mock's OpenRouter: OpenAI's form with costs, numbers for codes, limits in headers
--- on its own refusals only, comments in streams.
local family = require "keycycle.mock.openai_family"

local DAY = 86400

-- The code is the status as a number; what the code and param of OpenAI would say is lost.
local function envelope(message, code, metadata)
  return { error = { message = message, code = code, metadata = metadata },
    user_id = "user_mock" }
end

local daily = "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free "
  .. "model requests per day"

local function limited(about)
  local day = about.window == "day"
  local reset = day and (about.now // DAY + 1) * DAY or about.now + about.wait
  -- A day's meter of the mock rolls; the provider's ends at midnight UTC.
  local headers = { ["X-RateLimit-Limit"] = ("%d"):format(about.limit),
    ["X-RateLimit-Remaining"] = "0",
    ["X-RateLimit-Reset"] = ("%d"):format(math.ceil(reset * 1000)) }
  local body = envelope(day and daily or "Rate limit exceeded: free-models-per-min. ", 429, {
    headers = headers, limit_source = day and "openrouter_free_tier_daily" or nil })
  local out = { ["retry-after"] = family.seconds(reset - about.now) }
  for name, value in pairs(headers) do out[name] = value end
  return 429, body, out
end

local function cost(usage)
  usage.cost, usage.is_byok = 0.0001, false
  usage.cost_details = { upstream_inference_cost = 0.0001 }
end

local function native(body)
  body.provider = "Mock"
  for _, choice in ipairs(body.choices) do choice.native_finish_reason = choice.finish_reason end
  if body.usage then cost(body.usage) end
end

local function broken(ask)
  return ('data: {"id":"gen-mock%d","object":"chat.completion.chunk","provider":"Mock",'
    .. '"error":{"code":502,"message":"Provider disconnected unexpectedly"},"choices":[{"index":0,'
    .. '"delta":{"content":""},"finish_reason":"error","native_finish_reason":"error"}]}\n\n')
    :format(ask.seen)
end

local function plain(status, text)
  return function(about) return about.status or status, envelope(text, about.status or status) end
end

return family.new {
  base = "/api/v1",
  endpoints = { "chat", "responses", "embeddings", "models" },
  models = { "openai/gpt-4o-mini", "deepseek/deepseek-chat-v3-0324:free" },
  shape = { usage = "always", answer = native, chunk = native, broken = broken,
    before = { ": OPENROUTER PROCESSING\n\n" } },
  id_header = "X-Generation-Id",
  routes = {
    { method = "GET", path = "^/api/v1/key$", silent = true,
      read = function() return { said = "", input = 0, model = "key" } end,
      answer = function()
        return { data = { label = "sk-or-v1-moc...mock", usage = 0, usage_daily = 0,
          is_free_tier = true } }
      end },
  },
  errors = {
    limited = limited,
    bad = function(about)
      return about.status or 400, envelope(about.message, about.status or 400)
    end,
    auth = function(about)
      return 401, { error = { code = 401, message = about.token and "User not found."
        or "Missing Authentication header" } }
    end,
    no_route = plain(404, "Not Found"),
    no_method = plain(405, "Method Not Allowed"),
    server = plain(500, "Internal Server Error"),
    -- The upstream of a free model: another key does not help.
    overloaded = function(about)
      return 429, envelope("Provider returned error", 429, { provider_name = "Chutes",
        limit_source = "upstream_provider_shared_pool",
        raw = about.model .. " is temporarily rate-limited upstream. Please retry shortly, or "
          .. "add your own key to accumulate your rate limits: "
          .. "https://openrouter.ai/settings/integrations" })
    end,
    context = function()
      return 400, envelope("This endpoint's maximum context length is 200000 tokens. However, you "
        .. "requested about 2500021 tokens (2500021 of text input). Please reduce the length of "
        .. "either one, or use the context-compression plugin to compress your prompt "
        .. "automatically.", 400, { error_type = "context_length_exceeded" })
    end,
    not_found = function(about)
      return 404, envelope(("No endpoints found for %s."):format(about.model), 404)
    end,
    policy = function()
      return 403, envelope("Your input was flagged by moderation", 403, { reasons = { "violence" },
        flagged_input = "mock", provider_name = "Mock",
        error_type = "content_policy_violation" })
    end,
    -- A whole answer that broke off upstream comes with status 200.
    failed = function(about)
      return 200, { id = "gen-mock", object = "chat.completion", provider = "Mock",
        model = about.model, choices = { { index = 0, finish_reason = "error",
          message = { role = "assistant", content = "" },
          error = { code = 502, message = "Provider disconnected unexpectedly" } } } }
    end,
  },
  limit_headers = function() return {} end,
}
