--- Cohere: its version 2 chat, embed and rerank.
-- docs.cohere.com, its OpenAPI file of 2026-08-20.
return keycycle.provider {
  name = "cohere",
  base_url = "https://api.cohere.com",
  auth = { header = "authorization", value = "Bearer {api_key}" },
  -- Of trial keys alone.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-trial-endpoint-call-limit",
      remaining = "x-trial-endpoint-call-remaining" },
    { unit = "requests", window = "month", limit = "x-endpoint-monthly-call-limit" },
  },
  protocols = { chat = "cohere", embeddings = "cohere_embed", rerank = "cohere_rerank",
    transcription = "openai_transcription" },
  routes = {
    chat = { method = "POST", path = "/v2/chat", protocol = "chat", model = true },
    embed = { method = "POST", path = "/v2/embed", protocol = "embeddings", model = true },
    rerank = { method = "POST", path = "/v2/rerank", protocol = "rerank", model = true },
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/v2/audio/transcriptions", protocol = "transcription", model = true,
      form = true,
    },
    tokenize = { method = "POST", path = "/v1/tokenize", model = true },
    ["models.list"] = { method = "GET", path = "/v1/models" },
    check = { method = "POST", path = "/v1/check-api-key" },
  },
  -- docs.cohere.com/reference/errors
  classify = {
    { status = 429, path = "message", op = "contains", value = { "/ month", "per month" },
      kind = "quota", scope = "group", window = "month", resets = "UTC" },
    { status = 498, kind = "content_policy", scope = "request" }, -- "Unsafe Request"
    { status = 400, path = "message", op = "contains", value = "too many tokens",
      kind = "context_length", scope = "request" },
  },
}
