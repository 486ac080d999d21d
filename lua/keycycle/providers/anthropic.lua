--- Anthropic: the Messages API.
-- platform.claude.com/docs/en/api, and its Python SDK of 2026-08-07.
return keycycle.provider {
  name = "anthropic",
  base_url = "https://api.anthropic.com/v1",
  auth = { header = "x-api-key", value = "{api_key}" },
  headers = { ["anthropic-version"] = "2023-06-01" },
  charge = { cached = false },
  limit_headers = {
    { unit = "requests", window = "minute", limit = "anthropic-ratelimit-requests-limit",
      remaining = "anthropic-ratelimit-requests-remaining",
      reset = "anthropic-ratelimit-requests-reset", format = "rfc3339" },
    { unit = "input", window = "minute", limit = "anthropic-ratelimit-input-tokens-limit",
      remaining = "anthropic-ratelimit-input-tokens-remaining",
      reset = "anthropic-ratelimit-input-tokens-reset", format = "rfc3339" },
    { unit = "output", window = "minute", limit = "anthropic-ratelimit-output-tokens-limit",
      remaining = "anthropic-ratelimit-output-tokens-remaining",
      reset = "anthropic-ratelimit-output-tokens-reset", format = "rfc3339" },
    -- Whichever of the two is the tightest now: another one each time.
    { unit = "tokens", window = "minute", limit = "anthropic-ratelimit-tokens-limit",
      remaining = "anthropic-ratelimit-tokens-remaining",
      reset = "anthropic-ratelimit-tokens-reset", format = "rfc3339", learn = false },
  },
  protocols = { chat = "anthropic" },
  routes = {
    ["messages.create"] = { method = "POST", path = "/messages", protocol = "chat", model = true },
    ["messages.count_tokens"] = { method = "POST", path = "/messages/count_tokens", model = true },
    ["models.list"] = { method = "GET", path = "/models" },
    ["models.retrieve"] = { method = "GET", path = "/models/{model}" },
    check = { method = "GET", path = "/models" },
  },
}
