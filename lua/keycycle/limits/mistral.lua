--- Mistral: an organisation's limits by model, shown in its console only. They go by the
--- money spent; without a tier there are none until headers tell.
---
--- The free plan's figures are a community's. It also has 1,000,000,000 tokens a month.
return {
  source = "github.com/cheahjs/free-llm-api-resources",
  date = "2026-07-18",
  tiers = {
    free = {
      default = {
        requests_per_minute = 60, tokens_per_minute = 500000,
        windows = { { seconds = 1, requests = 1 } },
      },
      ["codestral*"] = { requests_per_minute = 30, requests_per_day = 2000 },
    },
  },
}
