--- Fireworks: OpenAI's form; models are named accounts/fireworks/models/NAME.
-- docs.fireworks.ai. Limits are the account's, over all models.
return keycycle.provider {
  name = "fireworks",
  extends = "openai_compatible",
  base_url = "https://api.fireworks.ai/inference/v1",
  strategy = "global",
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests" },
    { unit = "input", window = "minute", limit = "x-ratelimit-limit-tokens-prompt",
      remaining = "x-ratelimit-remaining-tokens-prompt" },
    { unit = "output", window = "minute", limit = "x-ratelimit-limit-tokens-generated",
      remaining = "x-ratelimit-remaining-tokens-generated" },
  },
  protocols = { responses = "openai_responses", messages = "anthropic", rerank = "cohere_rerank" },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["messages.create"] = {
      method = "POST", path = "/messages", protocol = "messages", model = true,
    },
    rerank = { method = "POST", path = "/rerank", protocol = "rerank", model = true },
  },
  -- 412: the account is suspended, as a rule for want of money.
  classify = {
    { status = 412, kind = "payment", scope = "group" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = { "maximum context length", "prompt is too long" }, kind = "context_length",
      scope = "request" },
  },
}
