--- vLLM: OpenAI's form; no key unless it was started with one.
-- docs.vllm.ai, "OpenAI-Compatible Server".
return keycycle.provider {
  name = "vllm",
  extends = "openai_compatible",
  base_url = "http://localhost:8000/v1",
  strategy = "global",
  auth = { header = "authorization", value = "Bearer {api_key}", optional = true },
  protocols = { responses = "openai_responses", rerank = "cohere_rerank",
    transcription = "openai_transcription" },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    rerank = { method = "POST", path = "/rerank", protocol = "rerank", model = true },
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/audio/transcriptions", protocol = "transcription", model = true,
      form = true,
    },
  },
}
