--- The mock's Gemini: no headers for limits, everything in the error's details.
local content = require "keycycle.mock.gemini_content"
local json = require "keycycle.json"
local turn = require "keycycle.mock.turn"

local MODEL = "^/v1beta/models/([^/:]+)"
local MODELS = { "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-embedding-001" }
local GOOGLE = "type.googleapis.com/google.rpc."

local function envelope(code, status, message, details)
  return code, { error = { code = code, message = message, status = status, details = details } },
    { ["content-type"] = "application/json; charset=UTF-8" }
end

local metrics = {
  requests = { "generate_content_free_tier_requests", "GenerateRequests" },
  tokens = { "generate_content_free_tier_input_token_count", "GenerateContentInputTokens" },
}

local function retry_info(seconds)
  return { ["@type"] = GOOGLE .. "RetryInfo", retryDelay = ("%ds"):format(seconds // 1) }
end

local function limited(about)
  local day = about.window == "day"
  local metric = metrics[about.unit == "requests" and "requests" or "tokens"]
  -- A day's refusal comes with a delay that is short and wrong.
  local wait = day and 38 or about.wait
  local name = "generativelanguage.googleapis.com/" .. metric[1]
  local id = ("%sPer%sPerProjectPerModel-FreeTier"):format(metric[2],
    about.window:gsub("^%l", string.upper))
  return envelope(429, "RESOURCE_EXHAUSTED", ("You exceeded your current quota, please check your "
    .. "plan and billing details. For more information on this error, head to: "
    .. "https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: %s, "
    .. "limit: %d, model: %s\nPlease retry in %ss."):format(name, about.limit, about.model,
    ("%.9f"):format(wait):gsub("%.?0+$", "")), {
      { ["@type"] = GOOGLE .. "Help", links = { { description = "Learn more about Gemini API "
        .. "quotas", url = "https://ai.google.dev/gemini-api/docs/rate-limits" } } },
      { ["@type"] = GOOGLE .. "QuotaFailure", violations = { { quotaMetric = name, quotaId = id,
        quotaDimensions = { location = "global", model = about.model },
        quotaValue = ("%d"):format(about.limit) } } },
      retry_info(wait) })
end

-- An error of one kind; "%s" stands for the model.
local function plain(code, status, text)
  return function(about)
    return envelope(about.status or code, status, text:format(about.model),
      about.wait and { retry_info(about.wait) } or nil)
  end
end

local OVERLOADED = "The model is overloaded. Please try again later."

local errors = {
  limited = limited,
  bad = function(about) return envelope(400, "INVALID_ARGUMENT", about.message) end,
  auth = function(about)
    if not about.token then
      return envelope(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers "
        .. "(callers without established identity). Please use API Key or other form of API "
        .. "consumer identity to call this API.")
    end
    local text = "API key not valid. Please pass a valid API key."
    return envelope(400, "INVALID_ARGUMENT", text, {
      { ["@type"] = GOOGLE .. "ErrorInfo", reason = "API_KEY_INVALID", domain = "googleapis.com",
        metadata = { service = "generativelanguage.googleapis.com" } },
      { ["@type"] = GOOGLE .. "LocalizedMessage", locale = "en-US", message = text } })
  end,
  overloaded = plain(503, "UNAVAILABLE", OVERLOADED),
  server = plain(500, "INTERNAL", "An internal error has occurred. Please retry or report in "
    .. "https://developers.generativeai.google/guide/troubleshooting"),
  context = plain(400, "INVALID_ARGUMENT", "The input token count (1250074) exceeds the maximum "
    .. "number of tokens allowed (1048576)."),
  not_found = plain(404, "NOT_FOUND", "models/%s is not found for API version v1beta, or is not "
    .. "supported for generateContent. Call ListModels to see the list of available models and "
    .. "their supported methods."),
  no_route = plain(404, "NOT_FOUND", "Requested entity was not found."),
}

-- The text of an embedding's request; nil when there is none.
local function embedded(body)
  local parts = type(body.content) == "table" and body.content.parts
  local text = type(parts) == "table" and type(parts[1]) == "table" and parts[1].text
  return type(text) == "string" and text or nil
end

local function read_embedding(requests, model)
  local ask = { model = model, input = 0, said = "", texts = {} }
  for i, body in ipairs(requests) do
    local text = type(body) == "table" and embedded(body)
    if not text then
      return nil, { message = "* EmbedContentRequest.content: content is required" }
    end
    ask.texts[i], ask.said, ask.input = text, text, ask.input + turn.tokens(text)
    ask.size = turn.whole(body.outputDimensionality)
  end
  return ask
end

local function values(ask, i)
  return { values = turn.vector(ask.texts[i], ask.size) }
end

local function read_batch(body, captures)
  if type(body.requests) ~= "table" or #body.requests == 0 then
    return nil, { message = "* BatchEmbedContentsRequest.requests: requests is required" }
  end
  for i, request in ipairs(body.requests) do
    if type(request) ~= "table" or request.model ~= "models/" .. captures[1] then
      return nil, { message = ("* BatchEmbedContentsRequest.requests[%d].model: model in the "
        .. "request must match the model in the batch"):format(i - 1) }
    end
  end
  return read_embedding(body.requests, captures[1])
end

local function answer_batch(ask)
  local list = {}
  for i in ipairs(ask.texts) do list[i] = values(ask, i) end
  return { embeddings = list }
end

local function models()
  local list = {}
  for i, id in ipairs(MODELS) do
    list[i] = { name = "models/" .. id, version = "001", displayName = id,
      inputTokenLimit = 1048576, outputTokenLimit = 65536,
      supportedGenerationMethods = { id:find "embedding" and "embedContent" or "generateContent" } }
  end
  return { models = list }
end

local function broken(ask)
  local _, body = envelope(503, "UNAVAILABLE", OVERLOADED)
  local text = json.encode(body)
  return ask.sse and "data: " .. text .. "\r\n\r\n" or ",\r\n" .. text .. "]"
end

local generate, stream = content.routes(MODEL, broken)

return {
  base = "/v1beta",
  auth = { { header = "x-goog-api-key" }, { query = "key" } },
  routes = {
    generate, stream,
    { method = "POST", path = MODEL .. ":countTokens$", silent = true,
      read = function(body, captures) return content.read_all(body, captures[1]) end,
      answer = function(_, t) return { totalTokens = t.input } end },
    { method = "POST", path = MODEL .. ":embedContent$", silent = true,
      read = function(body, captures) return read_embedding({ body }, captures[1]) end,
      answer = function(ask) return { embedding = values(ask, 1) } end },
    { method = "POST", path = MODEL .. ":batchEmbedContents$", silent = true, read = read_batch,
      answer = answer_batch },
    { method = "GET", path = "^/v1beta/models$", silent = true, answer = models,
      read = function() return { said = "", input = 0, model = "models" } end },
  },
  errors = errors,
  limit_headers = function() return {} end,
  tells_delay = false,
}
