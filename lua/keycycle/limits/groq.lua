--- Groq: an organisation's limits by model. The table is the free plan's.
---
--- A day is any 24 hours. Cached tokens do not count. llama-3.1-8b-instant and
--- llama-3.3-70b-versatile were withdrawn on 2026-08-16 and are not listed. Audio is
--- limited in seconds of sound as well (7,200 an hour, 28,800 a day), which is not counted
--- here.
return {
  source = "console.groq.com/docs/rate-limits",
  date = "2026-09-21",
  tier = "free",
  ["openai/gpt-oss-120b"] = {
    requests_per_minute = 30, requests_per_day = 1000, tokens_per_minute = 8000,
    tokens_per_day = 200000,
  },
  ["openai/gpt-oss-20b"] = {
    requests_per_minute = 30, requests_per_day = 1000, tokens_per_minute = 8000,
    tokens_per_day = 200000,
  },
  ["openai/gpt-oss-safeguard-20b"] = {
    requests_per_minute = 30, requests_per_day = 1000, tokens_per_minute = 8000,
    tokens_per_day = 200000,
  },
  -- qwen3.8-27b in September, qwen3.6-27b in July, with the same figures.
  ["qwen/qwen3.8-27b"] = {
    requests_per_minute = 30, requests_per_day = 1000, tokens_per_minute = 8000,
    tokens_per_day = 200000,
  },
  ["qwen/qwen3.6-27b"] = {
    requests_per_minute = 30, requests_per_day = 1000, tokens_per_minute = 8000,
    tokens_per_day = 200000,
  },
  ["meta-llama/llama-prompt-guard-2-*"] = {
    requests_per_minute = 30, requests_per_day = 14400, tokens_per_minute = 15000,
    tokens_per_day = 500000,
  },
  ["canopylabs/orpheus-*"] = {
    requests_per_minute = 10, requests_per_day = 100, tokens_per_minute = 1200,
    tokens_per_day = 3600,
  },
  ["whisper-large-v3*"] = { requests_per_minute = 20, requests_per_day = 2000 },
  ["groq/compound*"] = {
    requests_per_minute = 30, requests_per_day = 250, tokens_per_minute = 70000,
  },
  -- From here on: listed early in 2026, not in September's table.
  ["allam-2-7b"] = {
    requests_per_minute = 30, requests_per_day = 7000, tokens_per_minute = 6000,
    tokens_per_day = 500000,
  },
  ["meta-llama/llama-4-scout-17b-16e-instruct"] = {
    requests_per_minute = 30, requests_per_day = 1000, tokens_per_minute = 30000,
    tokens_per_day = 500000,
  },
  ["qwen/qwen3-32b"] = {
    requests_per_minute = 60, requests_per_day = 1000, tokens_per_minute = 6000,
    tokens_per_day = 500000,
  },
  ["moonshotai/kimi-k2-instruct*"] = {
    requests_per_minute = 60, requests_per_day = 1000, tokens_per_minute = 10000,
    tokens_per_day = 300000,
  },
  tiers = {
    developer = {
      ["openai/gpt-oss-120b"] = { requests_per_minute = 1000, tokens_per_minute = 250000 },
      ["openai/gpt-oss-20b"] = { requests_per_minute = 1000, tokens_per_minute = 250000 },
      ["openai/gpt-oss-safeguard-20b"] = {
        requests_per_minute = 1000, tokens_per_minute = 150000,
      },
      default = {}, -- not published by model: what headers say
    },
  },
}
