--- Gemini by its OpenAI-compatible path; the same keys and limits as `gemini`.
-- ai.google.dev/gemini-api/docs/openai
return keycycle.provider {
  name = "gemini_openai",
  extends = "openai_compatible",
  base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
  env = "GEMINI",
}
