--- OpenRouter: many providers behind one key. What is free is limited for the account
--- over all models, whatever the key.
-- openrouter.ai/docs of 2026-08-22.
local LIMIT_SOURCE = "error.metadata.limit_source"
local RESET = { "header:x-ratelimit-reset", "error.metadata.headers.X-RateLimit-Reset" }

return keycycle.provider {
  name = "openrouter",
  extends = "openai_compatible",
  base_url = "https://openrouter.ai/api/v1",
  strategy = "global",
  -- On a refusal alone, of the minute or of the day.
  limit_headers = {
    { unit = "requests", limit = "x-ratelimit-limit", remaining = "x-ratelimit-remaining",
      reset = "x-ratelimit-reset", format = "epoch_ms" },
  },
  protocols = { responses = "openai_responses", messages = "anthropic", rerank = "cohere_rerank" },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["messages.create"] = {
      method = "POST", path = "/messages", protocol = "messages", model = true,
    },
    rerank = { method = "POST", path = "/rerank", protocol = "rerank", model = true },
    ["credits.retrieve"] = { method = "GET", path = "/credits" },
    ["generation.retrieve"] = { method = "GET", path = "/generation" },
    check = { method = "GET", path = "/key" }, -- the list of models needs no key
  },
  -- openrouter.ai/docs/api/reference/errors-and-debugging; older answers lack the
  -- source of the limit and have the sentence only.
  classify = {
    { path = LIMIT_SOURCE, value = "openrouter_in_flight_budget", kind = "temporary",
      scope = "group" },
    { path = LIMIT_SOURCE, value = "openrouter_free_tier_daily", kind = "quota", scope = "group",
      window = "day", delay = RESET, resets = "UTC" },
    { path = LIMIT_SOURCE, value = "openrouter_key_limit", kind = "payment", scope = "key" },
    { path = LIMIT_SOURCE, value = "upstream_provider_shared_pool", kind = "temporary",
      scope = "provider" },
    { path = LIMIT_SOURCE, op = "in", kind = "overloaded", scope = "provider",
      value = { "openrouter_shared_capacity", "openrouter_admission_control" } },
    { status = 429, path = "message", op = "contains", value = "free-models-per-day",
      kind = "quota", scope = "group", window = "day", delay = RESET, resets = "UTC" },
    { status = 429, path = "message", op = "contains", value = "free-models-per-min",
      kind = "quota", scope = "group", window = "minute", delay = RESET },
    { status = 429, path = "message", op = "contains", value = { "rate-limited upstream",
      "provider returned error" }, kind = "temporary", scope = "provider" },
    { status = { 402, 403 }, path = "message", op = "prefix", value = "key limit exceeded",
      kind = "payment", scope = "key" },
    -- What the provider behind it refuses concerns OpenRouter's key there, not ours.
    { status = 429, path = "error.metadata.raw", op = "exists", kind = "temporary",
      scope = "provider" },
    { status = 401, path = "error.metadata.raw", op = "exists", kind = "server",
      scope = "provider" },
    { status = 403, path = "error.metadata.reasons", op = "exists", kind = "content_policy",
      scope = "request" },
    { path = "error.metadata.error_type", op = "in", value = { "token_limit_exceeded",
      "string_too_long" }, kind = "context_length", scope = "request" },
    { path = "error.availability.code", op = "in", value = { "temporarily_unavailable" },
      kind = "overloaded", scope = "provider" },
    { path = "error.availability.code", op = "in", value = { "no_endpoints", "wrong_endpoint",
      "model_deprecated", "model_not_found" }, kind = "not_found", scope = "model" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "maximum context length", kind = "context_length", scope = "request" },
  },
}
