--- Azure OpenAI: each key belongs to a resource of its own, with deployments.
-- learn.microsoft.com, "Azure OpenAI REST API reference". The deployment is the model's
-- name unless the key says another.
return keycycle.provider {
  name = "azure_openai",
  extends = "openai",
  base_url = "https://{resource}.openai.azure.com",
  auth = { header = "api-key", value = "{api_key}" },
  params = { "resource", deployment = "{model}", api_version = "2024-10-21" },
  headers = {},
  -- Its resets are milliseconds on one host and seconds on the other: not read.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens" },
  },
  charge = {},
  routes = {
    ["moderations.create"] = false,
    ["models.retrieve"] = false,
    ["chat.completions.create"] = {
      method = "POST", path = "/openai/deployments/{deployment}/chat/completions",
      query = { ["api-version"] = "{api_version}" }, protocol = "chat", model = true,
    },
    ["embeddings.create"] = {
      method = "POST", path = "/openai/deployments/{deployment}/embeddings",
      query = { ["api-version"] = "{api_version}" }, protocol = "embeddings", model = true,
    },
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/openai/deployments/{deployment}/audio/transcriptions",
      query = { ["api-version"] = "{api_version}" }, protocol = "transcription", model = true,
      form = true,
    },
    ["responses.create"] = {
      method = "POST", path = "/openai/v1/responses", protocol = "responses", model = true,
    },
    ["models.list"] = {
      method = "GET", path = "/openai/models", query = { ["api-version"] = "{api_version}" },
    },
    check = {
      method = "GET", path = "/openai/models", query = { ["api-version"] = "{api_version}" },
    },
  },
  -- learn.microsoft.com/azure/ai-services/openai: rates are of a minute, whose sentence
  -- says a day only for a free account.
  classify = {
    { status = 429, path = "message", op = "contains", value = { "high demand", "overloaded" },
      kind = "overloaded", scope = "provider" },
    { status = 429, path = "message", op = "contains", value = "retry after 86400 seconds",
      kind = "quota", scope = "model", window = "day" },
    { status = 429, path = "message", op = "contains", value = { "token rate limit",
      "call rate limit" }, kind = "quota", scope = "model", window = "minute" },
    { status = 400, path = "message", op = "contains", value = "content management policy",
      kind = "content_policy", scope = "request" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = { "maximum context length", "context window" }, kind = "context_length",
      scope = "request" },
  },
}
