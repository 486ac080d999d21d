--- Cerebras: OpenAI's form; a request is charged before it runs, for its input and the
--- most that it may answer.
-- inference-docs.cerebras.ai/support/rate-limits
return keycycle.provider {
  name = "cerebras",
  extends = "openai_compatible",
  base_url = "https://api.cerebras.ai/v1",
  protocols = { chat = "openai_chat" },
  dialect = { chat = { max_tokens_field = "max_completion_tokens" } },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/chat/completions", protocol = "chat", model = true,
    },
    ["models.list"] = { method = "GET", path = "/models" },
    ["models.retrieve"] = { method = "GET", path = "/models/{model}" },
    check = { method = "GET", path = "/models" },
  },
  -- inference-docs.cerebras.ai/support/error: its "quota" is a rate.
  classify = {
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "length of the messages", kind = "context_length", scope = "request" },
  },
}
