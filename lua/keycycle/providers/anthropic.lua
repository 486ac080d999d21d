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
}
