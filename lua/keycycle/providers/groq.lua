--- Groq: OpenAI's wire format on its own host; limits come in headers.
-- console.groq.com/docs/rate-limits: requests are counted a day, tokens a minute, for
-- an organisation and a model; cached tokens do not count.
-- A request that is larger than the limit itself: no wait and no other key helps.
local function over_the_limit(response)
  local limit, requested = response.message:match "Limit (%d+), Used %d+, Requested ~?(%d+)"
  if response.status == 429 and limit and tonumber(requested) > tonumber(limit) then
    return { kind = "request_too_large", scope = "request" }
  end
end

return keycycle.provider {
  name = "groq",
  extends = "openai",
  base_url = "https://api.groq.com/openai/v1",
  params = {},
  headers = {},
  charge = { cached = false },
  routes = { ["moderations.create"] = false },
  limit_headers = {
    { unit = "requests", window = "day", limit = "x-ratelimit-limit-requests",
      remaining = "x-ratelimit-remaining-requests", reset = "x-ratelimit-reset-requests",
      format = "go" },
    { unit = "tokens", window = "minute", limit = "x-ratelimit-limit-tokens",
      remaining = "x-ratelimit-remaining-tokens", reset = "x-ratelimit-reset-tokens",
      format = "go" },
  },
  -- console.groq.com/docs/errors; which window is spent, the sentence says.
  classify = {
    over_the_limit,
    { status = 498, kind = "overloaded", scope = "provider" },
    { status = { 413, 429 }, path = "message", op = "contains", value = "request too large",
      kind = "request_too_large", scope = "request" },
    -- The model wrote what was not asked for: it may write it well when asked again.
    { status = 400, path = "error.code", op = "in", value = { "json_validate_failed",
      "tool_use_failed" }, kind = "server", scope = "request" },
    { status = { 400, 403 }, path = "error.code", value = "organization_restricted",
      kind = "auth", scope = "group" },
    { status = { 400, 403 }, path = "message", op = "prefix",
      value = "organization has been restricted", kind = "auth", scope = "group" },
    { status = { 400, 413, 422 }, path = "message", op = "contains",
      value = "length of the messages", kind = "context_length", scope = "request" },
    { status = { 429, 500, 503 }, path = "message", op = "contains", value = { "overloaded",
      "at capacity", "no capacity", "high traffic", "high demand" }, kind = "overloaded",
      scope = "provider" },
  },
}
