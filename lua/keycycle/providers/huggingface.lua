--- Hugging Face's router: OpenAI's form, over many providers.
-- huggingface.co/docs/inference-providers of 2026-08-22. Credits are the account's.
return keycycle.provider {
  name = "huggingface",
  extends = "openai_compatible",
  base_url = "https://router.huggingface.co/v1",
  strategy = "global",
  params = { "bill_to" },
  headers = { ["x-hf-bill-to"] = "{bill_to}" },
  protocols = { responses = "openai_responses" },
  routes = {
    ["embeddings.create"] = false,
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
  },
  -- Credits come with each month; what is behind the router answers in its own form.
  classify = {
    { status = 402, kind = "quota", scope = "group", window = "month", resets = "UTC" },
    { status = 503, path = "estimated_time", op = "exists", kind = "overloaded",
      scope = "provider", delay = "estimated_time" },
    { status = 429, path = "header:ratelimit", op = "exists", kind = "quota", scope = "group",
      delay = "header:ratelimit" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = { "maximum context length", "context length is", "max_new_tokens` must be" },
      kind = "context_length", scope = "request" },
  },
}
