--- Groq: OpenAI's wire format on its own host; limits come in headers.
local provider = require "keycycle.provider"

return provider.define {
  name = "groq",
  extends = "openai",
  base_url = "https://api.groq.com/openai/v1",
  charge = {},
  limit_headers = {
    { unit = "requests", window = "day", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "go" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens", reset = "x-ratelimit-reset-tokens",
      format = "go" },
  },
}
