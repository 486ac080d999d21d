--- Mistral: OpenAI's form, strict about fields that it does not know.
-- docs.mistral.ai of 2026-08-21. It answers 422 to stream_options; usage comes in the
-- last chunk anyway. Tool call ids are nine letters or digits.
return keycycle.provider {
  name = "mistral",
  extends = "openai_compatible",
  base_url = "https://api.mistral.ai/v1",
  protocols = { transcription = "openai_transcription" },
  routes = {
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/audio/transcriptions", protocol = "transcription", model = true,
      form = true,
    },
  },
  -- Which of them come depends on the plan; none says when it is reset.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-req-minute",
      remaining = "x-ratelimit-remaining-req-minute" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens-minute",
      remaining = "x-ratelimit-remaining-tokens-minute" },
    { unit = "requests", window = "10_second", limit = "x-ratelimit-limit-req-10-second",
      remaining = "x-ratelimit-remaining-req-10-second" },
    { unit = "tokens", window = "5_minute", limit = "x-ratelimit-limit-tokens-5-minute",
      remaining = "x-ratelimit-remaining-tokens-5-minute" },
    { unit = "tokens", window = "month", limit = "x-ratelimit-limit-tokens-month",
      remaining = "x-ratelimit-remaining-tokens-month" },
  },
  dialect = {
    chat = { seed_field = "random_seed", stream_usage = false, tool_id_length = 9 },
  },
  -- docs.mistral.ai
  classify = {
    { status = 429, path = "header:x-ratelimit-remaining-tokens-month", op = "lte", value = 0,
      kind = "quota", scope = "group", window = "month", resets = "UTC" },
    { status = 429, path = "message", op = "contains", value = "capacity exceeded",
      kind = "overloaded", scope = "provider" },
    { path = "error.code", value = 3505, kind = "overloaded", scope = "provider" },
    { path = "error.code", value = 1500, kind = "not_found", scope = "model" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "too large for model", kind = "context_length", scope = "request" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
  },
}
