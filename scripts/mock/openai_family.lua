--- A dialect that is OpenAI's but for what its options say.
---
--- Error bodies and headers are OpenAI's own (recorded answers), unless replaced.
local chat = require "keycycle.mock.openai_chat"
local json = require "keycycle.json"
local other = require "keycycle.mock.openai_other"
local responses = require "keycycle.mock.openai_responses"
local turn = require "keycycle.mock.turn"

local family = {}

--- The tag of a limit: RPM, TPD, …
function family.tag(about)
  return (about.unit == "requests" and "R" or "T") .. "P" .. about.window:sub(1, 1):upper()
end

--- Seconds to wait as a header's whole number.
function family.seconds(wait)
  return ("%d"):format(math.ceil(wait))
end

--- OpenAI's error body.
function family.envelope(message, kind, code, param)
  return { error = { message = message, type = kind or json.null, param = param or json.null,
    code = code or json.null } }
end

-- A key's ends are shown, as OpenAI does.
local function shown(key)
  return #key > 12 and key:sub(1, 8) .. ("*"):rep(#key - 12) .. key:sub(-4) or "****"
end

local windows = { minute = "min", hour = "hour", day = "day" }

local function limited(envelope, about)
  local unit = about.unit == "requests" and "requests" or "tokens"
  local place = ("in organization org-mock on %s per %s (%s): Limit %d"):format(unit,
    windows[about.window], family.tag(about), about.limit)
  local visit = " Visit https://platform.openai.com/account/rate-limits to learn more."
  if about.requested > about.limit and about.limit > 0 then
    return 429, envelope(("Request too large for %s %s, Requested %d. The input or output tokens "
      .. "must be reduced in order to run successfully."):format(about.model, place,
      about.requested) .. visit, unit, "rate_limit_exceeded")
  end
  return 429, envelope(("Rate limit reached for %s %s, Used %d, Requested %d. Please try again "
    .. "in %s."):format(about.model, place, about.used, about.requested,
    turn.duration(about.wait)) .. visit, unit, "rate_limit_exceeded"),
    { ["retry-after"] = family.seconds(about.wait) }
end

local function not_found(envelope, about)
  -- /responses has another status and text for it than chat.
  if about.path:find "/responses$" then
    return 400, envelope(("The requested model '%s' does not exist."):format(about.model),
      "invalid_request_error", "model_not_found", "model")
  end
  return 404, envelope(("The model `%s` does not exist or you do not have access to it.")
    :format(about.model), "invalid_request_error", "model_not_found")
end

--- OpenAI's errors, in an envelope(message, type, code, param).
function family.errors(envelope)
  local invalid = "invalid_request_error"
  return {
    bad = function(about)
      return about.status or 400, envelope(about.message, invalid, about.code, about.param)
    end,
    auth = function(about)
      if not about.token then
        return 401, envelope("You didn't provide an API key. You need to provide your API key in "
          .. "an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
          invalid)
      end
      return 401, envelope(("Incorrect API key provided: %s. You can find your API key at "
        .. "https://platform.openai.com/account/api-keys."):format(shown(about.token)), invalid,
        "invalid_api_key")
    end,
    no_route = function(about)
      return 404, envelope(("Invalid URL (%s %s)"):format(about.method, about.path), invalid,
        "unknown_url")
    end,
    no_method = function(about)
      return 405, envelope("Not allowed to " .. about.method, invalid, "method_not_supported")
    end,
    limited = function(about) return limited(envelope, about) end,
    not_found = function(about) return not_found(envelope, about) end,
    overloaded = function()
      return 503, envelope("The server is currently overloaded with other requests. Sorry about "
        .. "that! You can retry your request.", "service_unavailable_error",
        "server_is_overloaded")
    end,
    server = function(about)
      return about.status or 500, envelope("The server had an error while processing your "
        .. "request. Sorry about that!", "server_error")
    end,
    context = function()
      return 400, envelope("Your input exceeds the context window of this model. Please adjust "
        .. "your input and try again.", invalid, "context_length_exceeded", "input")
    end,
    policy = function()
      return 400, envelope("Your request was rejected as a result of our safety system. Your "
        .. "prompt may contain text that is not allowed by our safety system.", invalid,
        "content_policy_violation")
    end,
  }
end

--- The rate-limit headers of OpenAI's form: `x-ratelimit-{limit,remaining,reset}-NAME`.
---@param list table of { unit, window, name }
---@param reset fun(seconds: number): string
function family.limit_headers(list, reset)
  return function(meter)
    local headers = {}
    for _, h in ipairs(list) do
      local limit, remaining, wait = meter:state(h[1], h[2])
      if limit then
        headers["x-ratelimit-limit-" .. h[3]] = ("%d"):format(limit)
        headers["x-ratelimit-remaining-" .. h[3]] = ("%d"):format(remaining)
        headers["x-ratelimit-reset-" .. h[3]] = reset(wait)
      end
    end
    return headers
  end
end

-- Endpoints by name: a path after the prefix, and the route of it.
local endpoints = {
  chat = function(prefix, o)
    local shape = { path = "^" .. prefix .. "/chat/completions$" }
    for k, v in pairs(o.shape or {}) do shape[k] = v end
    return chat.route(shape)
  end,
  responses = function(prefix) return responses.route("^" .. prefix .. "/responses$") end,
  embeddings = function(prefix) return other.embeddings("^" .. prefix .. "/embeddings$") end,
  models = function(prefix, o) return other.models("^" .. prefix .. "/models$", o.models) end,
  transcriptions = function(prefix, o)
    return other.transcription("^" .. prefix .. "/audio/transcriptions$", o.transcription)
  end,
}

--- A dialect. o: base, endpoints (names), models (names), shape (see openai_chat.lua),
--- envelope, errors (that replace OpenAI's), routes (further ones), auth, limits, reset (see
--- family.limit_headers), id_header, transcription (further fields).
function family.new(o)
  local dialect = { base = o.base, routes = {}, id_header = o.id_header or "x-request-id",
    auth = o.auth or { { header = "authorization", prefix = "bearer " } },
    errors = family.errors(o.envelope or family.envelope),
    limit_headers = o.limit_headers or family.limit_headers(o.limits, o.reset or turn.duration) }
  local prefix = (o.prefix or o.base):gsub("%p", "%%%0")
  for i, name in ipairs(o.endpoints) do dialect.routes[i] = endpoints[name](prefix, o) end
  for _, route in ipairs(o.routes or {}) do dialect.routes[#dialect.routes + 1] = route end
  for kind, make in pairs(o.errors or {}) do dialect.errors[kind] = make end
  return dialect
end

return family
