--- Gemini embeddings: embedContent for one text, batchEmbedContents for a list.
--- Pure: tables in, tables out; the neutral forms are openai_embeddings'.
local answer = require "keycycle.protocol.answer"
local estimate = require "keycycle.protocol.estimate"
local gemini = require "keycycle.protocol.gemini"
local neutral = require "keycycle.protocol.neutral"

local gemini_embeddings = {}

local task_types = { query = "RETRIEVAL_QUERY", document = "RETRIEVAL_DOCUMENT" }

local function content_of(request, text)
  return { content = { parts = { { text = text } } }, taskType = task_types[neutral.kind(request)],
    outputDimensionality = neutral.count(request, "dimensions") }
end

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral; `extra` goes into each of a batch's requests
---@return table `{ path, json }`
function gemini_embeddings.encode(request)
  local model, texts = neutral.model(request), neutral.texts(request.input, "input")
  if type(request.input) == "string" then
    local json = neutral.merge(content_of(request, texts[1]), request.extra)
    return { path = gemini.path(model, "embedContent"), json = json }
  end
  local requests = {}
  for i, text in ipairs(texts) do
    requests[i] = neutral.merge(content_of(request, text), request.extra)
    requests[i].model = model:find("/", 1, true) and model or "models/" .. model
  end
  return { path = gemini.path(model, "batchEmbedContents"), json = { requests = requests } }
end

--- The neutral response of a native answer. The model is not in it.
---@return table
function gemini_embeddings.decode(body)
  local inside = answer.table(body)
  local list = type(inside.embedding) == "table" and { inside.embedding } or inside.embeddings
  local embeddings = {}
  for i, item in ipairs(answer.table(list)) do
    embeddings[i] = answer.table(answer.table(item).values)
  end
  return { embeddings = embeddings, usage = gemini_embeddings.usage(inside), raw = body }
end

--- Tokens to reserve: those of the texts.
function gemini_embeddings.estimate(request)
  request = answer.table(request)
  return estimate.of(request.content) + estimate.of(request.requests)
end

gemini_embeddings.estimate_input = gemini_embeddings.estimate
gemini_embeddings.usage = gemini.usage

return gemini_embeddings
