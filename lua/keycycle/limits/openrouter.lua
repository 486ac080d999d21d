--- OpenRouter: the limits of an account's `:free` models, which share them; paid models
--- have none but the credit. The table is that of an account that never bought 10 credits.
---
--- More keys of one account do not raise them. The day begins at midnight UTC.
return {
  source = "openrouter.ai/docs, rate limits",
  date = "2026-08-22",
  tier = "free",
  only = "*:free",
  default = { requests_per_minute = 20, requests_per_day = 50, day_resets_at = "UTC" },
  tiers = {
    credits = {
      default = { requests_per_minute = 20, requests_per_day = 1000, day_resets_at = "UTC" },
    },
  },
}
