--- DeepSeek: OpenAI's form; what is limited is how many calls run at once.
-- api-docs.deepseek.com/quick_start/rate_limit
return keycycle.provider {
  name = "deepseek",
  extends = "openai_compatible",
  base_url = "https://api.deepseek.com",
  protocols = { responses = "openai_responses" },
  dialect = { chat = { send_reasoning = true } },
  routes = {
    ["embeddings.create"] = false,
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["user.balance"] = { method = "GET", path = "/user/balance" },
  },
  -- api-docs.deepseek.com/quick_start/error_codes: concurrency is all that is limited.
  classify = {
    { path = "message", op = "prefix", value = "insufficient balance", kind = "payment",
      scope = "group" },
    { status = 429, kind = "temporary", scope = "group" },
    { status = 400, path = "message", op = "prefix", value = "content exists risk",
      kind = "content_policy", scope = "request" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "maximum context length", kind = "context_length", scope = "request" },
  },
}
