--- Cerebras: OpenAI's form; a request is charged before it runs, for its input and the
--- most that it may answer.
-- inference-docs.cerebras.ai/support/rate-limits
return keycycle.provider {
  name = "cerebras",
  extends = "openai_compatible",
  base_url = "https://api.cerebras.ai/v1",
  charge = { max_tokens = "reserve" },
  -- Which of them come depends on the plan.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests-minute",
      remaining = "x-ratelimit-remaining-requests-minute",
      reset = "x-ratelimit-reset-requests-minute" },
    { unit = "requests", window = "hour", limit = "x-ratelimit-limit-requests-hour",
      remaining = "x-ratelimit-remaining-requests-hour",
      reset = "x-ratelimit-reset-requests-hour" },
    { unit = "requests", window = "day", limit = "x-ratelimit-limit-requests-day",
      remaining = "x-ratelimit-remaining-requests-day", reset = "x-ratelimit-reset-requests-day" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens-minute",
      remaining = "x-ratelimit-remaining-tokens-minute",
      reset = "x-ratelimit-reset-tokens-minute" },
    { unit = "tokens", window = "hour", limit = "x-ratelimit-limit-tokens-hour",
      remaining = "x-ratelimit-remaining-tokens-hour", reset = "x-ratelimit-reset-tokens-hour" },
    { unit = "tokens", window = "day", limit = "x-ratelimit-limit-tokens-day",
      remaining = "x-ratelimit-remaining-tokens-day", reset = "x-ratelimit-reset-tokens-day" },
  },
  routes = { ["embeddings.create"] = false },
  dialect = { chat = { max_tokens_field = "max_completion_tokens" } },
  -- inference-docs.cerebras.ai/support/error: its "quota" is a rate.
  classify = {
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "length of the messages", kind = "context_length", scope = "request" },
  },
}
