--- Cohere embed, version 2. Pure: tables in, tables out; the neutral forms are
--- openai_embeddings'.
local answer = require "keycycle.protocol.answer"
local cohere = require "keycycle.protocol.cohere"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local cohere_embed = {}

-- Required here: without a kind the texts are taken for documents.
local input_types = { query = "search_query", document = "search_document" }

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral
---@return table `{ json }`
function cohere_embed.encode(request)
  local json = {
    model = neutral.model(request), texts = neutral.texts(request.input, "input"),
    input_type = input_types[neutral.kind(request) or "document"], embedding_types = { "float" },
    output_dimension = neutral.count(request, "dimensions"),
  }
  return { json = neutral.merge(json, request.extra) }
end

--- Usage of an answer, else nil.
function cohere_embed.usage(body)
  return cohere.tokens(answer.table(body).meta)
end

--- The neutral response of a native answer: its floats. The model is not in it.
---@return table
function cohere_embed.decode(body)
  local found = answer.table(answer.table(body).embeddings)
  local embeddings = {}
  for i, values in ipairs(answer.table(found.float or found)) do
    embeddings[i] = answer.table(values)
  end
  return { embeddings = embeddings, usage = cohere_embed.usage(body), raw = body }
end

--- Tokens to reserve: those of the texts and images.
function cohere_embed.estimate(request)
  request = answer.table(request)
  return estimate.of(request.texts) + estimate.of(request.inputs)
end

cohere_embed.estimate_input = cohere_embed.estimate

return cohere_embed
