--- Groq: OpenAI's wire format on its own host; limits come in headers.
-- console.groq.com/docs/rate-limits: requests are counted a day, tokens a minute, for
-- an organisation and a model; cached tokens do not count.
return keycycle.provider {
  name = "groq",
  extends = "openai",
  base_url = "https://api.groq.com/openai/v1",
  params = {},
  headers = {},
  charge = { cached = false },
  limit_headers = {
    { unit = "requests", window = "day", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "go" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens", reset = "x-ratelimit-reset-tokens",
      format = "go" },
  },
}
