--- SambaNova: OpenAI's form; `insufficient_quota` is a plain rate limit here.
-- docs.sambanova.ai of 2026-07-21.
return keycycle.provider {
  name = "sambanova",
  extends = "openai_compatible",
  base_url = "https://api.sambanova.ai/v1",
}
