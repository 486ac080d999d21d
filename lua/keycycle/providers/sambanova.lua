--- SambaNova: OpenAI's form; `insufficient_quota` is a plain rate limit here.
-- docs.sambanova.ai of 2026-07-21.
return keycycle.provider {
  name = "sambanova",
  extends = "openai_compatible",
  base_url = "https://api.sambanova.ai/v1",
  -- The form of a reset is not documented.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "any" },
    { unit = "requests", window = "day", limit = "x-ratelimit-limit-requests-day",
      remaining = "x-ratelimit-remaining-requests-day", reset = "x-ratelimit-reset-requests-day",
      format = "any" },
  },
}
