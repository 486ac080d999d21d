--- The mock's Cohere: a trial key's limits, flat errors, no word of a delay.
local chat = require "keycycle.mock.cohere_chat"
local other = require "keycycle.mock.openai_other"
local turn = require "keycycle.mock.turn"

local MODELS = { "command-a-03-2025", "embed-v4.0", "rerank-v3.5" }
local TRIAL = "You are using a Trial key, which is limited to %d API calls / %s. You can continue "
  .. "to use the Trial key for free or upgrade to a Production key with higher rate limits at "
  .. "'https://dashboard.cohere.com/api-keys'. Contact us on 'https://discord.gg/XW44jPfYJu' or "
  .. "email us at support@cohere.com with any questions"

local function envelope(status, message, seen, kind)
  return status, { id = ("mock-%d"):format(seen), message = message, error_type = kind }
end

-- The mock's day stands for Cohere's month: it has no limit by the day.
local function limited(about)
  if about.unit ~= "requests" then
    return envelope(429, ("trial token rate limit exceeded, limit is %d tokens per %s")
      :format(about.limit, about.window), about.seen)
  end
  local month = about.window == "day"
  return envelope(429, TRIAL:format(about.limit, month and "month" or about.window), about.seen)
end

-- An error of one kind; "%s" stands for the model.
local function plain(status, text, kind)
  return function(about)
    return envelope(about.status or status, text:format(about.model), about.seen, kind)
  end
end

local errors = {
  limited = limited,
  bad = function(about) return envelope(400, about.message, about.seen) end,
  auth = function(about)
    return envelope(401, about.token and "Incorrect API key provided: ***********. You can find "
      .. "your API key at https://dashboard.cohere.com/api-keys." or "no api key supplied",
      about.seen)
  end,
  overloaded = plain(503, "Service Unavailable: the model is overloaded, please try again later"),
  server = plain(500, "internal server error"),
  context = plain(400, "too many tokens: size limit exceeded by 1234 tokens. Try using shorter or "
    .. "fewer inputs.", "TOO_MANY_TOKENS"),
  not_found = plain(404, "model '%s' not found, make sure the correct model ID was used and that "
    .. "you have access to the model."),
  no_route = plain(404, "not found"),
  no_method = plain(405, "method not allowed"),
}

local function problem(fmt, ...)
  return nil, { message = fmt:format(...) }
end

local input_types = { search_document = true, search_query = true, classification = true,
  clustering = true, image = true }

local function read_embed(body)
  if type(body.model) ~= "string" then return problem "invalid request: model is required" end
  if not input_types[body.input_type or ""] then
    return problem "invalid request: valid input_type must be provided with the provided model"
  end
  local texts = body.texts
  if type(texts) ~= "table" or #texts == 0 then
    return problem "invalid request: texts must be at least 1 token long or image must be provided"
  end
  local ask = { model = body.model, said = texts[#texts], input = 0, texts = texts,
    size = turn.whole(body.output_dimension) }
  for i, text in ipairs(texts) do
    if type(text) ~= "string" then
      return problem("invalid type: parameter texts[%d] should be of type string.", i - 1)
    end
    ask.input = ask.input + turn.tokens(text)
  end
  return ask
end

local function answer_embed(ask)
  local list = {}
  for i, text in ipairs(ask.texts) do list[i] = turn.vector(text, ask.size) end
  return { id = ("mock-%d"):format(ask.seen), embeddings = { float = list }, texts = ask.texts,
    response_type = "embeddings_by_type",
    meta = { api_version = { version = "2" }, billed_units = { input_tokens = ask.input } } }
end

local function read_rerank(body)
  if type(body.model) ~= "string" then return problem "invalid request: model is required" end
  if type(body.query) ~= "string" or body.query == "" then
    return problem "invalid request: query must be at least 1 characters long"
  end
  local documents = body.documents
  if type(documents) ~= "table" or #documents == 0 then
    return problem "invalid request: list of documents must not be empty"
  end
  for i, text in ipairs(documents) do
    if type(text) ~= "string" then
      return problem("invalid type: parameter documents[%d] is of type object but should be of "
        .. "type string.", i - 1)
    end
  end
  return { model = body.model, said = body.query, input = turn.tokens(body.query),
    documents = documents, top = turn.whole(body.top_n) }
end

-- The more words of the query a document has, the higher it stands.
local function score(query, document)
  local words, found = 0, 0
  for word in query:lower():gmatch "%w+" do
    words = words + 1
    if document:lower():find(word, 1, true) then found = found + 1 end
  end
  return words > 0 and found / words or 0
end

local function answer_rerank(ask)
  local results = {}
  for i, text in ipairs(ask.documents) do
    results[i] = { index = i - 1, relevance_score = score(ask.said, text) }
  end
  table.sort(results, function(a, b)
    if a.relevance_score ~= b.relevance_score then return a.relevance_score > b.relevance_score end
    return a.index < b.index
  end)
  if ask.top then results = table.move(results, 1, math.min(ask.top, #results), 1, {}) end
  return { id = ("mock-%d"):format(ask.seen), results = results,
    meta = { api_version = { version = "2" }, billed_units = { search_units = 1 } } }
end

local function read_tokenize(body)
  if type(body.text) ~= "string" or body.text == "" then
    return problem "invalid request: text must be at least 1 characters long"
  end
  return { model = body.model, said = body.text, input = 0 }
end

-- A word is a token here, its place the number.
local function answer_tokenize(ask)
  local tokens, strings = {}, {}
  for word in ask.said:gmatch "%s*%S+" do
    strings[#strings + 1], tokens[#tokens + 1] = word, #tokens + 1
  end
  return { tokens = tokens, token_strings = strings, meta = { api_version = { version = "1" } } }
end

local function models()
  local list = {}
  for i, name in ipairs(MODELS) do
    list[i] = { name = name, endpoints = { name:match "^(%a+)-" == "command" and "chat"
      or name:match "^(%a+)-" }, context_length = 128000 }
  end
  return { models = list }
end

local function nothing() return { said = "", input = 0, model = "none" } end

return {
  base = "",
  auth = { { header = "authorization", prefix = "bearer " } },
  routes = {
    chat.route("^/v2/chat$"),
    { method = "POST", path = "^/v2/embed$", silent = true, read = read_embed,
      answer = answer_embed },
    { method = "POST", path = "^/v2/rerank$", silent = true, read = read_rerank,
      answer = answer_rerank },
    other.transcription "^/v2/audio/transcriptions$",
    { method = "POST", path = "^/v1/tokenize$", silent = true, read = read_tokenize,
      answer = answer_tokenize },
    { method = "GET", path = "^/v1/models$", silent = true, read = nothing, answer = models },
    { method = "POST", path = "^/v1/check%-api%-key$", form = "none", silent = true,
      read = nothing, answer = function() return { valid = true } end },
  },
  errors = errors,
  -- On answers only, never on a refusal.
  limit_headers = function(meter, status)
    local headers = {}
    local limit, remaining = meter:state("requests", "minute")
    if status ~= 200 then return headers end
    if limit then
      headers["x-trial-endpoint-call-limit"] = ("%d"):format(limit)
      headers["x-trial-endpoint-call-remaining"] = ("%d"):format(remaining)
    end
    local month = meter:state("requests", "day")
    if month then headers["x-endpoint-monthly-call-limit"] = ("%d"):format(month) end
    return headers
  end,
}
