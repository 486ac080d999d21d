--- SambaNova: OpenAI's form; `insufficient_quota` is a plain rate limit here.
-- docs.sambanova.ai of 2026-07-21.
return keycycle.provider {
  name = "sambanova",
  extends = "openai_compatible",
  base_url = "https://api.sambanova.ai/v1",
  protocols = { transcription = "openai_transcription" },
  routes = {
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/audio/transcriptions", protocol = "transcription", model = true,
      form = true,
    },
  },
  -- The form of a reset is not documented.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "any" },
    { unit = "requests", window = "day", limit = "x-ratelimit-limit-requests-day",
      remaining = "x-ratelimit-remaining-requests-day", reset = "x-ratelimit-reset-requests-day",
      format = "any" },
  },
  -- docs.sambanova.ai: insufficient_quota is a rate here, and no matter of money.
  classify = {
    { status = 429, path = "header:x-ratelimit-remaining-requests-day", op = "lte", value = 0,
      kind = "quota", scope = "model", window = "day",
      delay = "header:x-ratelimit-reset-requests-day" },
    { status = 429, path = "error.code", value = "insufficient_quota", kind = "quota",
      scope = "model" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "maximum context length", kind = "context_length", scope = "request" },
  },
}
