--- Puts the chunks of a stream together to a whole neutral response.
--- Pure; it makes no difference which dialect the chunks came from.
local answer = require "keycycle.protocol.answer"

local collect = {}

local methods = {}
local collect_mt = { __name = "keycycle.collect", __index = methods }

--- A collector for one stream.
function collect.new()
  return setmetatable({ texts = {}, thoughts = {}, calls = {}, last = {} }, collect_mt)
end

local function add_call(self, piece)
  local index = math.tointeger(piece.index) or 1
  local call = self.calls[index]
  if not call then
    call = { pieces = {} }
    self.calls[index] = call
  end
  call.id, call.name = piece.id or call.id, piece.name or call.name
  call.extra = piece.extra or call.extra
  call.pieces[#call.pieces + 1] = piece.arguments
end

local latest = { "id", "model", "finish_reason", "usage", "extra", "raw" }

--- Adds a chunk; nil, for an event that says nothing, is none. Where memory runs out it
--- may be added again: what takes memory comes before the text.
---@param chunk? table neutral (what a protocol's `event` gives)
function methods:add(chunk)
  if not chunk then return end
  for _, name in ipairs(latest) do
    if chunk[name] ~= nil then self.last[name] = chunk[name] end
  end
  for _, piece in ipairs(chunk.tool_calls or { chunk.tool_call }) do add_call(self, piece) end
  self.thoughts[#self.thoughts + 1] = chunk.reasoning
  self.texts[#self.texts + 1] = chunk.text
end

--- The response so far: `{ id, model, content, reasoning, tool_calls, finish_reason,
--- usage, extra, raw }`, `raw` being the last event that said anything. A call whose
--- arguments are no JSON object has them in `arguments_text`, and none in `arguments`.
---@return table
function methods:response()
  local last, order, calls = self.last, {}, {}
  for index in pairs(self.calls) do order[#order + 1] = index end
  table.sort(order)
  for _, index in ipairs(order) do
    local call = self.calls[index]
    answer.keep_call(calls, call.id, call.name, table.concat(call.pieces), call.extra)
  end
  return {
    id = last.id, model = last.model, content = table.concat(self.texts),
    reasoning = answer.text(table.concat(self.thoughts)), tool_calls = calls,
    finish_reason = last.finish_reason, usage = last.usage, extra = last.extra, raw = last.raw,
  }
end

--- The message that a response becomes in its conversation. `extra` and `reasoning`
--- are for the dialect that it came from; the others leave them out.
---@param response table neutral
---@return table message
function collect.message(response)
  local calls = response.tool_calls
  return { role = "assistant", content = response.content, reasoning = response.reasoning,
    tool_calls = calls and #calls > 0 and calls or nil, extra = response.extra }
end

return collect
