--- The mock's Anthropic: its errors, and limits whose reset is an RFC 3339 instant.
local messages = require "keycycle.mock.anthropic_messages"
local turn = require "keycycle.mock.turn"

local MODELS = { "claude-sonnet-4-5", "claude-haiku-4-5" }

local function envelope(status, kind, message, seen)
  return status, { type = "error", error = { type = kind, message = message },
    request_id = ("req_mock%d"):format(seen) }
end

local units = { requests = "requests", tokens = "tokens", input_tokens = "input tokens",
  output_tokens = "output tokens" }

local function limited(about)
  local see = "see the response headers for current usage. Please reduce the prompt length or the "
    .. "maximum tokens requested, or try again later. You may also contact sales at "
    .. "https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
  local text
  if about.window == "minute" then
    text = ("This request would exceed the rate limit for your organization (mock) of %d %s per "
      .. "minute. For details, refer to: https://docs.anthropic.com/en/api/rate-limits. You can ")
      :format(about.limit, units[about.unit]) .. see
  else
    text = ("Number of request tokens has exceeded your %s rate limit "
      .. "(https://docs.anthropic.com/en/api/rate-limits); "):format(about.window == "day"
      and "daily" or "hourly") .. see
  end
  local status, body = envelope(429, "rate_limit_error", text, about.seen)
  return status, body, { ["retry-after"] = ("%d"):format(math.ceil(about.wait)) }
end

-- An error of one kind; "%s" stands for the model.
local function plain(status, kind, text)
  return function(about)
    return envelope(about.status or status, kind, text:format(about.model), about.seen)
  end
end

local errors = {
  limited = limited,
  bad = function(about)
    return envelope(400, "invalid_request_error", about.message, about.seen)
  end,
  auth = function(about)
    local status, body = envelope(401, "authentication_error", about.token and "invalid x-api-key"
      or "x-api-key header is required", about.seen)
    return status, body, { ["x-should-retry"] = "false" }
  end,
  overloaded = plain(529, "overloaded_error", "Overloaded"),
  server = plain(500, "api_error", "Internal server error"),
  context = plain(400, "invalid_request_error", "prompt is too long: 213462 tokens > 200000 "
    .. "maximum"),
  not_found = plain(404, "not_found_error", "model: %s"),
  no_route = plain(404, "not_found_error", "Not Found"),
  no_method = plain(405, "invalid_request_error", "Method Not Allowed"),
}

local groups = { requests = "requests", tokens = "tokens", input_tokens = "input-tokens",
  output_tokens = "output-tokens" }

local function limit_headers(meter, _, now)
  local headers = {}
  for unit, name in pairs(groups) do
    local limit, remaining, reset = meter:state(unit, "minute")
    if limit then
      local prefix = "anthropic-ratelimit-" .. name
      headers[prefix .. "-limit"] = ("%d"):format(limit)
      headers[prefix .. "-remaining"] = ("%d"):format(remaining)
      headers[prefix .. "-reset"] = turn.instant(now + reset)
    end
  end
  return headers
end

local function models()
  local data = {}
  for i, id in ipairs(MODELS) do
    data[i] = { type = "model", id = id, display_name = id, created_at = "2026-01-01T00:00:00Z" }
  end
  return { data = data, has_more = false, first_id = MODELS[1], last_id = MODELS[#MODELS] }
end

return {
  base = "/v1",
  auth = { { header = "x-api-key" }, { header = "authorization", prefix = "bearer " } },
  check = function(request)
    if request:header "anthropic-version" then return nil end
    return { message = "anthropic-version: header is required" }
  end,
  routes = {
    messages.route, messages.count,
    { method = "GET", path = "^/v1/models$", silent = true, answer = models,
      read = function() return { said = "", input = 0, model = "models" } end },
  },
  errors = errors,
  limit_headers = limit_headers,
  id_header = "request-id",
}
