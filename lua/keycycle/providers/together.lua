--- Together: OpenAI's form; limits move with the success of the last hour.
-- docs.together.ai/docs/rate-limits, its OpenAPI file of 2026-04-28.
return keycycle.provider {
  name = "together",
  extends = "openai_compatible",
  base_url = "https://api.together.xyz/v1",
  -- Tokens by the recorded names, and by the documented ones.
  limit_headers = {
    { unit = "requests", window = "second", limit = "x-ratelimit-limit",
      remaining = "x-ratelimit-remaining", reset = "x-ratelimit-reset" },
    { unit = "tokens", window = "second", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens" },
    { unit = "tokens", window = "second", limit = "x-tokenlimit-limit",
      remaining = "x-tokenlimit-remaining" },
  },
  protocols = { rerank = "cohere_rerank", transcription = "openai_transcription" },
  routes = {
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/audio/transcriptions", protocol = "transcription", model = true,
      form = true,
    },
    rerank = { method = "POST", path = "/rerank", protocol = "rerank", model = true },
  },
  -- docs.together.ai/docs/rate-limits: a dynamic rate is one of seconds.
  classify = {
    { status = 429, path = "error.type", op = "in", value = { "dynamic_request_limited",
      "dynamic_token_limited" }, kind = "temporary", scope = "model" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = { "maximum context length", "max_new_tokens` must be" }, kind = "context_length",
      scope = "request" },
  },
}
