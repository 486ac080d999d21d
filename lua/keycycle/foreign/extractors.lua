--- What the answers of other clients say of usage and of text, in whatever shape: that
--- of OpenAI, Anthropic, Cohere or Gemini, as a whole or an event of a stream.
---
--- They read plain answers as the protocols do. An object with metamethods of its own
--- may make them raise: who calls them with one guards the call.
local answer = require "keycycle.protocol.answer"
local anthropic = require "keycycle.protocol.anthropic"
local cohere = require "keycycle.protocol.cohere"
local gemini = require "keycycle.protocol.gemini"
local openai_chat = require "keycycle.protocol.openai_chat"
local openai_responses = require "keycycle.protocol.openai_responses"

local extractors = {}

-- By the names of its fields, which no two of them share.
local function of_usage(usage)
  local body = { usage = usage }
  if usage.tokens or usage.billed_units then return cohere.usage(body) end
  if usage.cache_read_input_tokens or usage.cache_creation_input_tokens then
    return anthropic.usage(body)
  end
  if usage.input_tokens or usage.output_tokens then return openai_responses.usage(body) end
  return openai_chat.usage(body)
end

local inside = { "message", "response", "delta", "x_groq" } -- where events have it

--- The usage that an answer or an event tells, in the neutral form; nil: none.
---@param body any
---@return table? usage
function extractors.usage(body)
  if type(body) ~= "table" then return nil end
  if type(body.usageMetadata) == "table" then return gemini.usage(body) end
  if type(body.usage) == "table" then return of_usage(body.usage) end
  if type(body.meta) == "table" then return cohere.tokens(body.meta) end
  for _, name in ipairs(inside) do
    local part = answer.table(body[name])
    if type(part.usage) == "table" then return of_usage(part.usage) end
    if type(part.meta) == "table" then return cohere.tokens(part.meta) end
  end
  return nil
end

--- Usage put together from the events of a stream: each tells all that it counted up to
--- then, and some tell one side only.
---@param seen? table from the events before; not changed
---@param used table
---@return table usage
function extractors.merge(seen, used)
  local all = {}
  for name, value in pairs(seen or {}) do all[name] = value end
  for name, value in pairs(used) do
    if value ~= 0 then all[name] = value end
  end
  local own = (used.input_tokens or 0) + (used.output_tokens or 0)
  if (used.total_tokens or 0) <= own then
    all.total_tokens = (all.input_tokens or 0) + (all.output_tokens or 0)
  end
  return all
end

-- The text of Gemini's parts, without its thoughts.
local function of_parts(candidate)
  local texts = {}
  for _, part in ipairs(answer.table(answer.table(candidate.content).parts)) do
    part = answer.table(part)
    if not answer.given(part.thought) then texts[#texts + 1] = answer.text(part.text) end
  end
  return answer.text(table.concat(texts))
end

local function of_choice(choice)
  local delta = answer.table(choice.delta)
  return answer.text(delta.content) or answer.text(choice.text)
end

local function of_delta(delta)
  local content = answer.table(answer.table(delta.message).content)
  return answer.text(delta.text) or answer.text(delta.content) or answer.text(content.text)
end

--- The text that a piece of a stream brings; nil: none that is known.
---@param piece any a text, or an event
---@return string? text
function extractors.text(piece)
  if type(piece) ~= "table" then return answer.text(piece) end
  return of_choice(answer.table(answer.table(piece.choices)[1]))
    or of_parts(answer.table(answer.table(piece.candidates)[1]))
    or answer.text(piece.delta) or of_delta(answer.table(piece.delta))
    or answer.text(piece.text) or answer.text(piece.content)
    or answer.text(answer.table(piece.message).content)
end

return extractors
