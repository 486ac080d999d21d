--- Cloudflare Workers AI: an account's limits by task; some models differ. Use is also
--- paid in neurons, 10,000 a day free until midnight UTC, which only a refusal tells.
return {
  source = "developers.cloudflare.com/workers-ai/platform/limits",
  date = "2026-07-29",
  default = { requests_per_minute = 300 },
  -- Embeddings, where a program counts them by themselves (strategy "per_model").
  ["@cf/baai/*"] = { requests_per_minute = 3000 },
}
