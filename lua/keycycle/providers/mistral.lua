--- Mistral: OpenAI's form, strict about fields that it does not know.
-- docs.mistral.ai of 2026-08-21. It answers 422 to stream_options; usage comes in the
-- last chunk anyway. Tool call ids are nine letters or digits.
return keycycle.provider {
  name = "mistral",
  extends = "openai_compatible",
  base_url = "https://api.mistral.ai/v1",
}
