--- Any server that speaks OpenAI's wire format; the program gives base_url.
return keycycle.provider {
  name = "openai_compatible",
  auth = { header = "authorization", value = "Bearer {api_key}" },
  protocols = { chat = "openai_chat", embeddings = "openai_embeddings" },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/chat/completions", protocol = "chat", model = true,
    },
    ["embeddings.create"] = {
      method = "POST", path = "/embeddings", protocol = "embeddings", model = true,
    },
    ["models.list"] = { method = "GET", path = "/models" },
    ["models.retrieve"] = { method = "GET", path = "/models/{model}" },
    check = { method = "GET", path = "/models" },
  },
  -- Its codes are known by the generic rules; what servers say in words only is here.
  classify = {
    { status = { 400, 413, 422, 500 }, path = "message", op = "contains",
      value = { "maximum context length", "context length is", "than the context length",
      "exceeded max context length", "context window", "available context size",
      "context size has been exceeded", "prompt is too long", "length of the messages",
      "maximum prompt length", "max_new_tokens` must be" }, kind = "context_length",
      scope = "request" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 413, 429 }, path = "message", op = "contains", value = "request too large",
      kind = "request_too_large", scope = "request" },
    { status = { 402, 403, 429 }, path = "message", op = "contains",
      value = { "insufficient balance", "insufficient credit", "insufficient funds",
      "spending limit", "out of credits" }, kind = "payment", scope = "group" },
  },
}
