--- xAI: OpenAI's form; the reasoning is counted beside the completion.
-- docs.x.ai; headers recorded 2026-08-10.
return keycycle.provider {
  name = "xai",
  extends = "openai_compatible",
  base_url = "https://api.x.ai/v1",
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens" },
  },
  protocols = { responses = "openai_responses" },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
  },
  -- docs.x.ai: a wrong key is a 400, and credits that are used up a 403 or a 429.
  classify = {
    { status = { 400, 401 }, path = "message", op = "prefix", value = "incorrect api key",
      kind = "auth" },
    { status = { 402, 403, 429 }, path = "message", op = "contains",
      value = { "free usage quota exceeded", "available credits", "spending limit" },
      kind = "payment", scope = "group" },
    { status = 429, path = "message", op = "contains", value = "requests per second",
      kind = "temporary", scope = "model" },
    { status = { 400, 403 }, path = "message", op = "contains", value = "usage guidelines",
      kind = "content_policy", scope = "request" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "maximum prompt length", kind = "context_length", scope = "request" },
  },
}
