--- OpenRouter: many providers behind one key. What is free is limited for the account
--- over all models, whatever the key.
-- openrouter.ai/docs of 2026-08-22.
return keycycle.provider {
  name = "openrouter",
  extends = "openai_compatible",
  base_url = "https://openrouter.ai/api/v1",
  strategy = "global",
  -- On a refusal alone, of the minute or of the day.
  limit_headers = {
    { unit = "requests", limit = "x-ratelimit-limit", remaining = "x-ratelimit-remaining",
      reset = "x-ratelimit-reset", format = "epoch_ms" },
  },
  protocols = { chat = "openai_chat", responses = "openai_responses",
    embeddings = "openai_embeddings", messages = "anthropic", rerank = "cohere_rerank" },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/chat/completions", protocol = "chat", model = true,
    },
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["messages.create"] = {
      method = "POST", path = "/messages", protocol = "messages", model = true,
    },
    ["embeddings.create"] = {
      method = "POST", path = "/embeddings", protocol = "embeddings", model = true,
    },
    rerank = { method = "POST", path = "/rerank", protocol = "rerank", model = true },
    ["models.list"] = { method = "GET", path = "/models" },
    ["credits.retrieve"] = { method = "GET", path = "/credits" },
    ["generation.retrieve"] = { method = "GET", path = "/generation" },
    check = { method = "GET", path = "/key" }, -- the list of models needs no key
  },
}
