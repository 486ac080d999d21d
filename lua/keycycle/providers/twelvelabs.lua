--- TwelveLabs: video search, analysis and embeddings. An index belongs to one account:
--- `index_id` goes along with its key.
-- docs.twelvelabs.io, version 1.3 of 2026-03-01. Requests are counted by kind of
-- endpoint, which stands for the model here.
return keycycle.provider {
  name = "twelvelabs",
  base_url = "https://api.twelvelabs.io/v1.3",
  auth = { header = "x-api-key", value = "{api_key}" },
  params = { "index_id" },
  -- How long the window is they do not say. The newer names are third parties'.
  limit_headers = {
    { unit = "requests", limit = "x-ratelimit-limit", remaining = "x-ratelimit-remaining",
      reset = "x-ratelimit-reset", format = "epoch" },
    { unit = "requests", limit = "x-ratelimit-request-limit",
      remaining = "x-ratelimit-request-remaining", reset = "x-ratelimit-request-reset",
      format = "epoch" },
    { unit = "output", limit = "x-ratelimit-outputtoken-limit",
      remaining = "x-ratelimit-outputtoken-remaining", reset = "x-ratelimit-outputtoken-reset",
      format = "epoch" },
  },
  protocols = { chat = "twelvelabs_analyze" },
  routes = {
    analyze = { method = "POST", path = "/analyze", protocol = "chat", class = "analyze",
      fill = { stream = false } }, -- the provider's own default is true
    analyze_stream = { method = "POST", path = "/analyze", protocol = "chat", class = "analyze",
      stream = true, lines = true, fill = { stream = true } },
    ["search.query"] = { method = "POST", path = "/search", class = "search", form = true,
      fill = { index_id = "{index_id}" } },
    ["search.page"] = { method = "GET", path = "/search/{page_token}", class = "search" },
    ["embed.create"] = { method = "POST", path = "/embed-v2", class = "embed" },
    ["tasks.create"] = { method = "POST", path = "/tasks", class = "tasks", form = true,
      fill = { index_id = "{index_id}" } },
    ["tasks.retrieve"] = { method = "GET", path = "/tasks/{id}", class = "tasks" },
    ["indexes.list"] = { method = "GET", path = "/indexes", class = "indexes" },
    ["indexes.retrieve"] = { method = "GET", path = "/indexes/{index_id}", class = "indexes" },
    check = { method = "GET", path = "/indexes", class = "indexes", query = { page_limit = 1 } },
  },
  -- docs.twelvelabs.io/api-reference/error-codes; a 429 has no body.
  classify = {
    { path = "error.code", value = "region_not_allowed", kind = "permission_region",
      scope = "provider" },
    { path = "error.code", value = "api_allowed_for_paid_plan", kind = "payment",
      scope = "group" },
    { status = 429, kind = "quota", scope = "group", delay = "header:x-ratelimit-reset" },
  },
}
