--- OpenAI embeddings. Pure: tables in, tables out.
---
--- Neutral request: `{ model, input = text or list, dimensions, kind = "query" or
--- "document", extra }`; neutral response: `{ embeddings = list of lists, model, usage,
--- raw }`, in the order of the input.
local answer = require "keycycle.protocol.answer"
local chat = require "keycycle.protocol.openai_chat"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local openai_embeddings = {}

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral
---@param options? table `input_types`: the server's words for the kinds, as `{ query =
--- "query", document = "passage" }` at NVIDIA; without it the kind is left out
---@return table `{ json }`
function openai_embeddings.encode(request, options)
  local kind, types = neutral.kind(request), (options or {}).input_types
  local json = {
    model = neutral.model(request), input = neutral.texts(request.input, "input"),
    dimensions = neutral.count(request, "dimensions"),
    input_type = types and types[kind or "document"] or nil,
  }
  return { json = neutral.merge(json, request.extra) }
end

--- The neutral response of a native answer.
---@return table
function openai_embeddings.decode(body)
  local inside, found = answer.table(body), {}
  for i, item in ipairs(answer.table(inside.data)) do
    item = answer.table(item)
    local at = type(item.index) == "number" and math.tointeger(item.index) or i - 1
    found[#found + 1] = { at = at, values = item.embedding }
  end
  table.sort(found, function(a, b) return a.at < b.at end)
  local embeddings = {}
  for i, item in ipairs(found) do embeddings[i] = answer.table(item.values) end
  return { embeddings = embeddings, model = answer.text(inside.model), usage = chat.usage(inside),
    raw = body }
end

--- Tokens to reserve: those of the input, which is text, or a list of texts or
--- of tokens.
function openai_embeddings.estimate(request)
  local input, tokens = answer.table(request).input, 0
  if type(input) == "string" then input = { input } end
  for _, item in ipairs(answer.table(input)) do
    if type(item) == "string" then
      tokens = tokens + estimate.of(item)
    else
      tokens = tokens + (type(item) == "table" and #item or 1)
    end
  end
  return tokens
end

openai_embeddings.estimate_input = openai_embeddings.estimate
openai_embeddings.usage = chat.usage

return openai_embeddings
