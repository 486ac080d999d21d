--- Cloudflare Workers AI: OpenAI's form; each token belongs to an account.
-- developers.cloudflare.com/workers-ai of 2026-07-29. Without max_tokens it stops at 256.
return keycycle.provider {
  name = "cloudflare",
  extends = "openai_compatible",
  base_url = "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai",
  strategy = "global",
  params = { "account_id" },
  protocols = { responses = "openai_responses" },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/v1/chat/completions", protocol = "chat", model = true,
    },
    ["responses.create"] = {
      method = "POST", path = "/v1/responses", protocol = "responses", model = true,
    },
    ["embeddings.create"] = {
      method = "POST", path = "/v1/embeddings", protocol = "embeddings", model = true,
    },
    run = { method = "POST", path = "/run/{model}", model = true },
    ["models.list"] = { method = "GET", path = "/models/search" },
    check = { method = "GET", path = "/models/search", query = { per_page = 1 } },
  },
  -- developers.cloudflare.com/workers-ai/platform/errors
  classify = {
    { path = "errors[*].code", op = "in", value = { 3036, 4006 }, kind = "quota", scope = "group",
      window = "day", resets = "UTC" },
    { status = 429, path = "message", op = "contains", value = "daily free allocation",
      kind = "quota", scope = "group", window = "day", resets = "UTC" },
    { path = "errors[*].code", op = "in", value = { 3040 }, kind = "overloaded",
      scope = "provider" },
    { path = "errors[*].code", op = "in", value = { 10000, 3023 }, kind = "auth" },
    { path = "errors[*].code", op = "in", value = { 5035, 5016, 5018, 3041 },
      kind = "permission_region", scope = "key" },
    { path = "errors[*].code", op = "in", value = { 5007, 3042 }, kind = "not_found",
      scope = "model" },
    { path = "errors[*].code", op = "in", value = { 3006 }, kind = "request_too_large",
      scope = "request" },
  },
}
