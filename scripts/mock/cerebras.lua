--- The mock's Cerebras: OpenAI's form with flat error bodies; the day's requests and the
--- minute's tokens in headers, reset in seconds with a fraction.
local family = require "keycycle.mock.openai_family"
local json = require "keycycle.json"

local quota = "too_many_requests_error"

local function envelope(message, kind, code, param)
  return { message = message, type = kind or json.null, param = param or json.null,
    code = code or json.null }
end

local texts = { requests = "Requests per %s limit exceeded - too many requests sent.",
  tokens = "Tokens per %s limit exceeded - too many tokens processed." }

local function limited(about)
  local unit = about.unit == "requests" and "requests" or "tokens"
  return 429, envelope(texts[unit]:format(about.window), quota,
    unit == "requests" and "request_quota_exceeded" or "token_quota_exceeded", "quota"),
    { ["retry-after"] = family.seconds(about.wait) }
end

local function add_times(body)
  body.time_info = { queue_time = 0.001, prompt_time = 0.002, completion_time = 0.01,
    total_time = 0.013, created = body.created }
end

return family.new {
  base = "/v1",
  endpoints = { "chat", "models" },
  models = { "gpt-oss-120b", "llama3.1-8b" },
  envelope = envelope,
  shape = {
    usage = "last",
    answer = add_times,
    chunk = function(body, place) if place == "last" then add_times(body) end end,
    broken = function(ask)
      return "data: " .. json.encode { status_code = 500, error = {
        id = ("chatcmpl-mock%d"):format(ask.seen), code = "server_error", type = "server_error",
        message = "Encountered a server error, please try again.", param = json.null } } .. "\n\n"
    end,
  },
  errors = {
    limited = limited,
    auth = function()
      return 401, envelope("Wrong API Key", "invalid_request_error", "wrong_api_key", "api_key")
    end,
    overloaded = function()
      return 429, envelope("We're experiencing high traffic right now! Please try again soon.",
        quota, "queue_exceeded", "queue")
    end,
    context = function()
      return 400, envelope("Please reduce the length of the messages or completion. Current "
        .. "length is 202427 while limit is 131072", "invalid_request_error",
        "context_length_exceeded", "validation_error")
    end,
    not_found = function(about)
      return 404, envelope(("Model %s does not exist or you do not have access to it.")
        :format(about.model), "not_found_error", "model_not_found", "model")
    end,
  },
  limits = { { "requests", "minute", "requests-minute" }, { "requests", "hour", "requests-hour" },
    { "requests", "day", "requests-day" }, { "tokens", "minute", "tokens-minute" },
    { "tokens", "hour", "tokens-hour" }, { "tokens", "day", "tokens-day" } },
  reset = function(seconds) return ("%.6f"):format(seconds) end,
}
