--- SambaNova: an account's limits by model; without a tier there are none until headers
--- tell.
---
--- Tokens a day are of all models together (200,000 on the free tier, 20,000,000 on the
--- developer's): here each model may use as many.
local function developer(per_minute, per_day)
  return { requests_per_minute = per_minute, requests_per_day = per_day,
    tokens_per_day = 20000000 }
end

return {
  source = "docs.sambanova.ai, rate limits",
  date = "2026-07-21",
  tiers = {
    free = {
      default = { requests_per_minute = 20, requests_per_day = 20, tokens_per_day = 200000 },
    },
    developer = {
      ["MiniMax-M2.7"] = developer(60, 12000),
      ["DeepSeek-V3.1"] = developer(60, 12000),
      ["DeepSeek-V3.2"] = developer(60, 12000),
      ["Meta-Llama-3.3-70B-Instruct"] = developer(240, 48000),
      ["gpt-oss-120b"] = developer(60, 12000),
      ["gemma-4-31B-it"] = developer(60, 12000),
      default = { tokens_per_day = 20000000 },
    },
  },
}
