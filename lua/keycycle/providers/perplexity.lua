--- Perplexity: OpenAI's Responses form, search and embeddings.
-- docs.perplexity.ai. The older chat path ended on 2026-09-27.
return keycycle.provider {
  name = "perplexity",
  extends = "openai_compatible",
  base_url = "https://api.perplexity.ai",
  strategy = "global",
  protocols = { responses = "openai_responses" },
  routes = {
    ["chat.completions.create"] = false,
    ["models.retrieve"] = false,
    ["responses.create"] = {
      method = "POST", path = "/v1/responses", protocol = "responses", model = true,
    },
    ["embeddings.create"] = {
      method = "POST", path = "/v1/embeddings", protocol = "embeddings", model = true,
    },
    ["search.create"] = { method = "POST", path = "/search", class = "search" },
    ["models.list"] = { method = "GET", path = "/v1/models" },
    check = { method = "GET", path = "/v1/models" },
  },
}
