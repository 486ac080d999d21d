--- NVIDIA NIM at build.nvidia.com: OpenAI's form.
-- docs.api.nvidia.com. Its embeddings need input_type "query" or "passage".
return keycycle.provider {
  name = "nvidia",
  extends = "openai_compatible",
  base_url = "https://integrate.api.nvidia.com/v1",
  strategy = "global",
  dialect = { embeddings = { input_types = { query = "query", document = "passage" } } },
  classify = {
    { status = 403, kind = "auth", scope = "key" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "maximum context length", kind = "context_length", scope = "request" },
  },
}
