--- Reading native answers: what the protocols' `decode`, `event` and `usage` share.
---
--- Pure, and it never raises: what comes from outside may have any form.
local core = require "keycycle.core"

local answer = {}

local json, math_type, type = core.json, math.type, type

--- A count of tokens: a whole number above zero, else 0.
function answer.whole(value)
  if value == nil then return 0 end
  local kind = math_type(value)
  if kind == "float" then value = math.tointeger(value) end
  return kind and value and value > 0 and value or 0
end

local whole = answer.whole

--- The first of these counts, three at most, that is above zero, else nil.
function answer.first(a, b, c)
  local n = whole(a)
  if n == 0 then n = whole(b) end
  if n == 0 then n = whole(c) end
  return n > 0 and n or nil
end

--- The table, or an empty one.
function answer.table(value)
  return type(value) == "table" and value or {}
end

--- Whether a field is there: JSON's null is not.
function answer.given(value)
  return value ~= nil and value ~= false and value ~= json.null
end

--- The text, if it is one that is not empty, else nil.
function answer.text(value)
  if value == nil then return nil end
  return type(value) == "string" and value ~= "" and value or nil
end

--- Usage in the neutral form. nil where nothing was counted.
---@param input integer
---@param output integer
---@param total? integer what the provider says; what is above the sum was put out
---@param more? table cached_tokens, reasoning_tokens, …
function answer.usage(input, output, total, more)
  local sum = input + output
  if total and total > sum then output, sum = total - input, total end
  if sum == 0 then return nil end
  local usage = { input_tokens = input, output_tokens = output, total_tokens = sum }
  if more then
    for name, value in pairs(more) do usage[name] = value end
  end
  return usage
end

--- The arguments of a tool call from their JSON: a table, and the text itself where
--- it is no JSON object. Nothing at all means no arguments.
function answer.arguments(text)
  if type(text) == "table" then return text end
  if type(text) ~= "string" or not text:find "%S" then return {} end
  local decoded = text:find "^%s*{" and json.decode(text, { null = "absent" })
  if type(decoded) ~= "table" then return {}, text end
  return decoded
end

--- Adds a tool call in the neutral form to a list. One without a name is none.
---@param id? string one of its place is made where there is none
---@param text any its arguments, JSON or decoded
---@param extra? table what only its dialect understands
function answer.keep_call(calls, id, name, text, extra)
  name = answer.text(name)
  if not name then return end
  local arguments, broken = answer.arguments(text)
  calls[#calls + 1] = { id = answer.text(id) or "call_" .. #calls + 1, name = name,
    arguments = arguments, arguments_text = broken, extra = extra }
end

--- Text for a table of arguments, as they stand in a chunk.
function answer.arguments_text(arguments)
  if type(arguments) == "string" then return arguments end
  return json.encode(answer.table(arguments)) or "{}"
end

--- The place of a tool call among those of a stream, from 1. Pieces belong
--- together by their id, else by the server's index; some servers give one index to
--- all calls, some none, and most give the id only once.
---@param state table the stream's
---@param key any the server's index
---@param id? string
---@return integer
function answer.slot(state, key, id)
  local calls = state.calls
  if not calls then
    calls = { n = 0, by_key = {}, by_id = {}, id = {} }
    state.calls = calls
  end
  key = type(key) == "number" and math.tointeger(key) or "none"
  id = answer.text(id)
  local slot
  if id then slot = calls.by_id[id] end
  if not slot then
    slot = calls.by_key[key] or (not id and key == "none" and calls.n > 0 and calls.n)
    if not slot or (id and calls.id[slot]) then
      slot = calls.n + 1
      calls.n = slot
    end
  end
  calls.by_key[key] = slot
  if id then
    calls.by_id[id], calls.id[slot] = slot, id
  end
  return slot
end

--- Whether a stream has had a tool call.
function answer.called(state)
  return state.calls ~= nil and state.calls.n > 0
end

--- Adds a piece of a tool call to a chunk: `tool_calls` has them all, `tool_call` is
--- the first.
function answer.add_call(chunk, call)
  chunk.tool_calls = chunk.tool_calls or {}
  chunk.tool_calls[#chunk.tool_calls + 1] = call
  chunk.tool_call = chunk.tool_calls[1]
end

--- The chunk, or nil where it says nothing but what it was made of.
function answer.chunk(chunk, data)
  if next(chunk) == nil then return nil end
  chunk.raw = data
  return chunk
end

return answer
