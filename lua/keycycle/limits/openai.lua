--- OpenAI: limits of an organisation and project, by model. They go by the money paid and
--- are shown in the account only, so without a tier there are none until headers tell.
return {
  source = "developers.openai.com/api/docs/guides/rate-limits; figures: third parties",
  date = "2026-05-22",
  tiers = {
    -- Others say 500 requests a minute.
    tier1 = { ["gpt-5*"] = { requests_per_minute = 1000, tokens_per_minute = 500000 } },
    tier5 = { ["gpt-5*"] = { requests_per_minute = 10000, tokens_per_minute = 5000000 } },
  },
}
