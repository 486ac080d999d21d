--- Hugging Face's router: OpenAI's form, over many providers.
-- huggingface.co/docs/inference-providers of 2026-08-22. Credits are the account's.
return keycycle.provider {
  name = "huggingface",
  extends = "openai_compatible",
  base_url = "https://router.huggingface.co/v1",
  strategy = "global",
  params = { "bill_to" },
  headers = { ["x-hf-bill-to"] = "{bill_to}" },
  protocols = { chat = "openai_chat", responses = "openai_responses" },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/chat/completions", protocol = "chat", model = true,
    },
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["models.list"] = { method = "GET", path = "/models" },
    check = { method = "GET", path = "/models" },
  },
}
