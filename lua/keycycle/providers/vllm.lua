--- vLLM: OpenAI's form; no key unless it was started with one.
-- docs.vllm.ai, "OpenAI-Compatible Server".
return keycycle.provider {
  name = "vllm",
  extends = "openai_compatible",
  base_url = "http://localhost:8000/v1",
  strategy = "global",
  auth = { header = "authorization", value = "Bearer {api_key}", optional = true },
}
