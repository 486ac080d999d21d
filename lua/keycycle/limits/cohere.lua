--- Cohere: limits by endpoint and, for chat, by model. The table is a trial key's.
---
--- A trial key also has 1,000 calls a month over all endpoints. That is not counted here:
--- limits are counted by model, the day on which the month begins is not documented, and
--- 31 days from each call would block for longer than Cohere does. The refusal says
--- "month", and the key rests then. Embedding is limited by inputs, of which a request has
--- at least one.
return {
  source = "docs.cohere.com/docs/rate-limits; enterprise: keycycle for Python, 2026-01-23",
  date = "2026-08-04",
  tier = "free",
  default = { requests_per_minute = 20 },
  ["embed-*"] = { requests_per_minute = 2000 },
  ["rerank-*"] = { requests_per_minute = 10 },
  tiers = {
    pro = {
      default = { requests_per_minute = 500 },
      ["embed-*"] = { requests_per_minute = 2000 },
      ["rerank-*"] = { requests_per_minute = 1000 },
    },
    -- By agreement with Cohere: nothing is published.
    enterprise = {
      default = { requests_per_minute = 1000 },
      ["embed-*"] = { requests_per_minute = 2000 },
    },
  },
}
