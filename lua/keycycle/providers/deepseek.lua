--- DeepSeek: OpenAI's form; what is limited is how many calls run at once.
-- api-docs.deepseek.com/quick_start/rate_limit
return keycycle.provider {
  name = "deepseek",
  extends = "openai_compatible",
  base_url = "https://api.deepseek.com",
  protocols = { chat = "openai_chat", responses = "openai_responses" },
  routes = {
    ["chat.completions.create"] = {
      method = "POST", path = "/chat/completions", protocol = "chat", model = true,
    },
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["user.balance"] = { method = "GET", path = "/user/balance" },
    ["models.list"] = { method = "GET", path = "/models" },
    check = { method = "GET", path = "/models" },
  },
}
