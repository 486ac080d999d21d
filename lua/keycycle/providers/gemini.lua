--- Gemini: Google's own form (generateContent). Its limits come in bodies, never in
--- headers, and belong to a Google project.
-- ai.google.dev/gemini-api/docs; the key goes into a header: URLs end up in logs.
return keycycle.provider {
  name = "gemini",
  base_url = "https://generativelanguage.googleapis.com/v1beta",
  auth = { header = "x-goog-api-key", value = "{api_key}" },
  protocols = { chat = "gemini", embeddings = "gemini_embeddings" },
  routes = {
    ["models.generate_content"] = {
      method = "POST", path = "/models/{model}:generateContent", protocol = "chat", model = true,
      stream_path = "/models/{model}:streamGenerateContent", stream_query = { alt = "sse" },
    },
    ["models.generate_content_stream"] = {
      method = "POST", path = "/models/{model}:streamGenerateContent", protocol = "chat",
      model = true, stream = true, query = { alt = "sse" },
    },
    ["models.embed_content"] = {
      method = "POST", path = "/models/{model}:embedContent", protocol = "embeddings", model = true,
    },
    ["models.batch_embed_contents"] = {
      method = "POST", path = "/models/{model}:batchEmbedContents", protocol = "embeddings",
      model = true,
    },
    ["models.count_tokens"] = {
      method = "POST", path = "/models/{model}:countTokens", model = true,
    },
    ["models.list"] = { method = "GET", path = "/models" },
    check = { method = "GET", path = "/models" },
  },
  -- ai.google.dev/gemini-api/docs/troubleshooting. The generic rules know Google's
  -- statuses, reasons and quotas; "check your plan and billing details" says nothing.
  classify = {
    { status = 429, path = "message", op = "contains", value = "PerDayPerProject", kind = "quota",
      scope = "model", window = "day", resets = "America/Los_Angeles" },
    { status = 400, path = "message", op = "prefix", value = { "api key not valid",
      "api key expired" }, kind = "auth" },
    { status = 403, path = "message", op = "contains", value = { "reported as leaked",
      "has been suspended" }, kind = "auth" },
    { status = { 402, 403, 429 }, path = "message", op = "contains", value = { "depleted",
      "spending cap" }, kind = "payment", scope = "group" },
    { status = 400, path = "error.status", value = "FAILED_PRECONDITION",
      kind = "permission_region", scope = "provider" },
    { status = 400, path = "message", op = "contains", value = "location is not supported",
      kind = "permission_region", scope = "provider" },
    { status = 400, path = "message", op = "contains",
      value = "exceeds the maximum number of tokens", kind = "context_length",
      scope = "request" },
    { path = "promptFeedback.blockReason", op = "exists", kind = "content_policy",
      scope = "request" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
  },
}
