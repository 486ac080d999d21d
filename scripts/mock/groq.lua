--- The mock's Groq: OpenAI's form; the day's requests and the minute's tokens in headers, the
--- other limits in the refusal's text only.
local family = require "keycycle.mock.openai_family"
local turn = require "keycycle.mock.turn"

local invalid = "invalid_request_error"

-- Groq has no `param`.
local function envelope(message, kind, code)
  return { error = { message = message, type = kind, code = code } }
end

local function limited(about)
  local unit = about.unit == "requests" and "requests" or "tokens"
  local place = ("in organization `org_mock` service tier `on_demand` on %s per %s (%s): Limit %d")
    :format(unit, about.window, family.tag(about), about.limit)
  local upgrade = " Need more tokens? Upgrade to Dev Tier today at "
    .. "https://console.groq.com/settings/billing"
  if about.requested > about.limit and about.limit > 0 then
    return 413, envelope(("Request too large for model `%s` %s, Requested %d, please reduce your "
      .. "message size and try again."):format(about.model, place, about.requested) .. upgrade,
      unit, "rate_limit_exceeded")
  end
  return 429, envelope(("Rate limit reached for model `%s` %s, Used %d, Requested %d. Please try "
    .. "again in %s."):format(about.model, place, about.used, about.requested,
    turn.duration(about.wait)) .. upgrade, unit, "rate_limit_exceeded"),
    { ["retry-after"] = family.seconds(about.wait) }
end

local function usage_of(usage)
  usage.queue_time, usage.prompt_time = 0.001, 0.002
  usage.completion_time, usage.total_time = 0.01, 0.012
  return usage
end

-- Its own place for the usage, whether or not it was asked for, and for an error.
local function chunk(body, place, t)
  if place == "first" then body.x_groq = { id = "req_mock" } end
  if place == "last" then
    body.x_groq = { id = "req_mock", usage = usage_of { prompt_tokens = t.input,
      completion_tokens = t.output, total_tokens = t.input + t.output } }
  elseif place == "usage" then
    usage_of(body.usage)
  end
end

return family.new {
  base = "/openai/v1",
  endpoints = { "chat", "responses", "embeddings", "models", "transcriptions" },
  models = { "llama-3.1-8b-instant", "openai/gpt-oss-120b", "whisper-large-v3" },
  transcription = { x_groq = { id = "req_mock" } },
  envelope = envelope,
  shape = {
    usage = "asked", chunk = chunk,
    answer = function(body)
      usage_of(body.usage)
      body.x_groq = { id = "req_mock" }
    end,
    broken = function(ask)
      return ('data: {"id":"chatcmpl-mock%d","object":"chat.completion.chunk","choices":[],'
        .. '"x_groq":{"id":"req_mock","error":"over capacity"}}\n\n'):format(ask.seen)
    end,
  },
  errors = {
    limited = limited,
    auth = function() return 401, envelope("Invalid API Key", invalid, "invalid_api_key") end,
    overloaded = function()
      -- The flex tier's; the fact sheet has no recorded body of it.
      return 498, envelope("The model is over capacity. Please try again later.",
        "internal_server_error", "capacity_exceeded")
    end,
    not_found = function(about)
      return 404, envelope(("The model `%s` does not exist or you do not have access to it.")
        :format(about.model), invalid, "model_not_found")
    end,
    context = function()
      return 400, envelope("Please reduce the length of the messages or completion.", invalid,
        "context_length_exceeded")
    end,
  },
  limits = { { "requests", "day", "requests" }, { "tokens", "minute", "tokens" } },
}
