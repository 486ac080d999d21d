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
  -- OpenAI documents the codes; the sentences change.
  classify = {
    { path = "error.code", value = "insufficient_quota", kind = "payment" },
    { path = "error.code", value = "billing_hard_limit_reached", kind = "payment" },
    { path = "error.code", value = "account_deactivated", kind = "auth" },
    { path = "error.code", value = "context_length_exceeded", kind = "context_length",
      scope = "request" },
    { path = "error.code", value = "content_policy_violation", kind = "content_policy",
      scope = "request" },
    { path = "error.code", value = "model_not_found", kind = "not_found", scope = "model" },
  },
}
