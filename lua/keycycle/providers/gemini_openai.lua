--- Gemini by its OpenAI-compatible path; the same keys and limits as `gemini`.
-- ai.google.dev/gemini-api/docs/openai
return keycycle.provider {
  name = "gemini_openai",
  extends = "openai_compatible",
  base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
  env = "GEMINI",
  -- As those of `gemini`, in an array of one.
  classify = {
    { status = 400, path = "message", op = "prefix", value = { "api key not valid",
      "api key expired" }, kind = "auth" },
    { status = 403, path = "message", op = "contains", value = { "reported as leaked",
      "has been suspended" }, kind = "auth" },
    { status = { 402, 403, 429 }, path = "message", op = "contains", value = { "depleted",
      "spending cap" }, kind = "payment", scope = "group" },
    { status = 400, path = "error.status", value = "FAILED_PRECONDITION",
      kind = "permission_region", scope = "provider" },
    { status = 400, path = "message", op = "contains", value = "location is not supported",
      kind = "permission_region", scope = "provider" },
    { status = 400, path = "message", op = "contains",
      value = "exceeds the maximum number of tokens", kind = "context_length",
      scope = "request" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
  },
}
