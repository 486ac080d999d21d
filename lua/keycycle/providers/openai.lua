--- OpenAI: the dialect that many others speak.
-- developers.openai.com/api/docs, and its OpenAPI file of 2026-08-21.
-- A request that is larger than the limit itself: no wait and no other key helps.
local function over_the_limit(response)
  local limit, requested = response.message:match "Limit (%d+), Used %d+, Requested ~?(%d+)"
  if response.status == 429 and limit and tonumber(requested) > tonumber(limit) then
    return { kind = "request_too_large", scope = "request" }
  end
end

return keycycle.provider {
  name = "openai",
  extends = "openai_compatible",
  base_url = "https://api.openai.com/v1",
  params = { "organization", "project" },
  headers = { ["openai-organization"] = "{organization}", ["openai-project"] = "{project}" },
  protocols = { responses = "openai_responses", transcription = "openai_transcription" },
  dialect = { chat = { max_tokens_field = "max_completion_tokens" } },
  routes = {
    ["responses.create"] = {
      method = "POST", path = "/responses", protocol = "responses", model = true,
    },
    ["audio.transcriptions.create"] = {
      method = "POST", path = "/audio/transcriptions", protocol = "transcription", model = true,
      form = true,
    },
    ["moderations.create"] = { method = "POST", path = "/moderations" },
  },
  -- Limits are an organisation's: keys that name the same one share them. What a
  -- request may answer at most is charged ("Rate limits" in its guide).
  charge = { shared_by = "openai-organization", max_tokens = "reserve" },
  -- A reset is that of the whole bucket. The project's come where it has a limit.
  limit_headers = {
    { unit = "requests", window = "minute", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "go" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens", reset = "x-ratelimit-reset-tokens",
      format = "go" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-project-tokens",
      remaining = "x-ratelimit-remaining-project-tokens",
      reset = "x-ratelimit-reset-project-tokens", format = "go" },
  },
  classify = {
    over_the_limit,
    { status = { 413, 429 }, path = "message", op = "contains", value = "request too large",
      kind = "request_too_large", scope = "request" },
    { status = 429, path = "message", op = "contains", value = { "check your plan and billing",
      "check your billing details" }, kind = "payment", scope = "group" },
    { status = { 400, 429 }, path = "message", op = "prefix", value = "billing hard limit",
      kind = "payment", scope = "group" },
    { status = { 400, 403, 404 }, path = "message", op = "contains",
      value = "organization must be verified", kind = "permission_region", scope = "group" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = { "maximum context length", "context window" }, kind = "context_length",
      scope = "request" },
    { status = 400, path = "message", op = "contains", value = "safety system",
      kind = "content_policy", scope = "request" },
    { status = 401, path = "message", op = "prefix", value = "incorrect api key", kind = "auth" },
  },
}
