--- OpenAI: the dialect that many others speak.
local provider = require "keycycle.provider"

return provider.define {
  name = "openai",
  extends = "openai_compatible",
  base_url = "https://api.openai.com/v1",
  -- Limits are an organisation's: keys that name the same one share them
  -- (providers' documentation, "Rate limits").
  charge = { shared_by = "openai-organization" },
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "go" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens", reset = "x-ratelimit-reset-tokens",
      format = "go" },
  },
}
