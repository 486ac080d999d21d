--- llama.cpp's server: OpenAI's form; no key unless it was started with one.
-- github.com/ggml-org/llama.cpp, tools/server/README.md.
return keycycle.provider {
  name = "llamacpp",
  extends = "openai_compatible",
  base_url = "http://localhost:8080/v1",
  strategy = "global",
  auth = { header = "authorization", value = "Bearer {api_key}", optional = true },
  protocols = { responses = "openai_responses", rerank = "cohere_rerank" },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    rerank = { method = "POST", path = "/rerank", protocol = "rerank", model = true },
  },
}
