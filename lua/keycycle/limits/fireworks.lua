--- Fireworks: an account's limits; without a tier there are none until headers tell.
---
--- Ceilings on tokens adapt to use and begin with those here. Input that is not cached
--- has a ceiling of its own (900,000 a minute), which is not counted here.
return {
  source = "docs.fireworks.ai, rate limits",
  date = "2026-08-22",
  tiers = {
    free = { default = { requests_per_minute = 10 } }, -- no payment method
    paid = {
      default = {
        requests_per_minute = 6000, input_tokens_per_minute = 3600000,
        output_tokens_per_minute = 36000,
      },
    },
  },
}
