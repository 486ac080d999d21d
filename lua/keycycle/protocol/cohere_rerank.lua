--- Rerank in Cohere's form, which Together, Fireworks, vLLM and llama.cpp share.
--- Pure: tables in, tables out.
---
--- Neutral request: `{ model, query, documents = list of texts, top_n, extra }`; neutral
--- response: `{ results = list of { index, score }, usage, raw }`, best first, where
--- index is the document's place in the request, from 1.
local answer = require "keycycle.protocol.answer"
local chat = require "keycycle.protocol.openai_chat"
local cohere = require "keycycle.protocol.cohere"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local cohere_rerank = {}

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral
---@return table `{ json }`
function cohere_rerank.encode(request)
  local query = request.query
  if type(query) ~= "string" or query == "" then neutral.fail "query must be a text" end
  if type(request.documents) == "string" then neutral.fail "documents must be a list" end
  local json = {
    model = neutral.model(request), query = query,
    documents = neutral.texts(request.documents, "documents"),
    top_n = neutral.count(request, "top_n"),
  }
  return { json = neutral.merge(json, request.extra) }
end

--- Usage of an answer, else nil: Cohere bills searches, the others count tokens.
function cohere_rerank.usage(body)
  body = answer.table(body)
  return chat.usage(body) or cohere.tokens(body.meta)
end

--- The neutral response of a native answer. `search_units` is what Cohere bills.
---@return table
function cohere_rerank.decode(body)
  local inside, results = answer.table(body), {}
  for _, item in ipairs(answer.table(inside.results or inside.data)) do
    item = answer.table(item)
    local index = type(item.index) == "number" and math.tointeger(item.index)
    local score = tonumber(item.relevance_score) or tonumber(item.score)
    if index and score and score == score then -- NaN has no order
      results[#results + 1] = { index = index + 1, score = score }
    end
  end
  table.sort(results, function(a, b) return a.score > b.score end)
  local billed = answer.table(answer.table(inside.meta).billed_units)
  return { results = results, usage = cohere_rerank.usage(inside),
    search_units = answer.first(billed.search_units), raw = body }
end

--- Tokens to reserve: the query is read with each document.
function cohere_rerank.estimate(request)
  request = answer.table(request)
  local documents = answer.table(request.documents)
  return estimate.of(request.query) * math.max(#documents, 1) + estimate.of(documents)
end

cohere_rerank.estimate_input = cohere_rerank.estimate

return cohere_rerank
