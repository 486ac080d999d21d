--- Ollama on this machine: OpenAI's form; a key is needed in its cloud only.
-- github.com/ollama/ollama, docs/openai.md of 2026-08-21.
return keycycle.provider {
  name = "ollama",
  extends = "openai_compatible",
  base_url = "http://localhost:11434/v1",
  strategy = "global",
  auth = { header = "authorization", value = "Bearer {api_key}", optional = true },
  protocols = { responses = "openai_responses" },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
  },
}
