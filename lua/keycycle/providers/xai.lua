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
  protocols = { chat = "openai_chat", responses = "openai_responses",
    embeddings = "openai_embeddings" },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/chat/completions", protocol = "chat", model = true,
    },
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["embeddings.create"] = {
      method = "POST", path = "/embeddings", protocol = "embeddings", model = true,
    },
    ["models.list"] = { method = "GET", path = "/models" },
    check = { method = "GET", path = "/models" },
  },
}
