--- Cloudflare Workers AI: OpenAI's form; each token belongs to an account.
-- developers.cloudflare.com/workers-ai of 2026-07-29. Without max_tokens it stops at 256.
return keycycle.provider {
  name = "cloudflare",
  extends = "openai_compatible",
  base_url = "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai",
  strategy = "global",
  params = { "account_id" },
  protocols = { chat = "openai_chat", responses = "openai_responses",
    embeddings = "openai_embeddings" },
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
}
