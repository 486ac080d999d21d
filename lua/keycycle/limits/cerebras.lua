--- Cerebras: an organisation's limits by model. The table is the free trial's.
---
--- Tokens are charged up front, for the input and `max_completion_tokens`. Headers of the
--- trial were also seen to say 150 requests an hour and 2,400 a day, which is not
--- documented: they are left to the headers, as are models that the page does not list.
--- Other lists still print the figures of January 2026 (30 requests and 60,000 tokens a
--- minute).
local trial = {
  requests_per_minute = 5, tokens_per_minute = 30000, tokens_per_hour = 1000000,
  tokens_per_day = 1000000,
}

return {
  source = "inference-docs.cerebras.ai/support/rate-limits",
  date = "2026-08-02",
  tier = "free",
  ["gpt-oss-120b"] = trial,
  ["zai-glm-4.7"] = trial,
  ["gemma-4-31b"] = trial,
  tiers = {
    developer = {
      ["gpt-oss-120b"] = { requests_per_minute = 1000, tokens_per_minute = 1000000 },
      ["zai-glm-4.7"] = { requests_per_minute = 500, tokens_per_minute = 500000 },
      ["gemma-4-31b"] = { requests_per_minute = 300, tokens_per_minute = 500000 },
      default = {},
    },
  },
}
