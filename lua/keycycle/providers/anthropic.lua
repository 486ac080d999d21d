--- Anthropic: the Messages API.
-- platform.claude.com/docs/en/api, and its Python SDK of 2026-08-07.
return keycycle.provider {
  name = "anthropic",
  base_url = "https://api.anthropic.com/v1",
  auth = { header = "x-api-key", value = "{api_key}" },
  headers = { ["anthropic-version"] = "2023-06-01" },
  protocols = { chat = "anthropic" },
  routes = {
    ["messages.create"] = { method = "POST", path = "/messages", protocol = "chat", model = true },
    ["messages.count_tokens"] = { method = "POST", path = "/messages/count_tokens", model = true },
    ["models.list"] = { method = "GET", path = "/models" },
    ["models.retrieve"] = { method = "GET", path = "/models/{model}" },
    check = { method = "GET", path = "/models" },
  },
  -- platform.claude.com/docs/en/api/errors, /rate-limits: money comes as a 400 and a 429.
  classify = {
    { path = "error.details.error_code", value = "enforced_spend_limit_reached", kind = "quota",
      scope = "group", window = "month", resets = "UTC" },
    { status = { 400, 429 }, path = "message", op = "prefix",
      value = "you have reached your specified", kind = "quota", scope = "group",
      window = "month", resets = "UTC" },
    { status = { 400, 402, 403, 429 }, path = "message", op = "prefix",
      value = "your credit balance is too low", kind = "payment", scope = "group" },
    { status = { 400, 403 }, path = "message", op = "prefix",
      value = "this organization has been disabled", kind = "auth", scope = "group" },
    { status = 403, path = "message", op = "contains", value = { "token has been revoked",
      "token has expired" }, kind = "auth" },
    { status = 400, path = "message", op = "contains", value = { "prompt is too long",
      "exceed context limit" }, kind = "context_length", scope = "request" },
    { status = 429, path = "message", op = "contains", value = "concurrent", kind = "temporary",
      scope = "group" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = "overloaded",
      kind = "overloaded", scope = "provider" },
  },
}
