--- The mock's side of Anthropic's messages: blocks in, blocks out, named events. Pure.
local json = require "keycycle.json"
local turn = require "keycycle.mock.turn"

local messages = {}

local OVERHEAD = 4 -- tokens of a message beside its text
local IMAGE = 85   -- tokens of an image
local stop_reason = { stop = "end_turn", sequence = "stop_sequence", length = "max_tokens",
  tool = "tool_use", policy = "refusal" }

local function problem(fmt, ...)
  return nil, { message = fmt:format(...) }
end

local function text_of(content)
  if type(content) == "string" then return content end
  local texts = {}
  for _, block in ipairs(type(content) == "table" and content or {}) do
    if type(block) == "table" and block.type == "text" then texts[#texts + 1] = block.text end
  end
  return table.concat(texts, "\n")
end

-- Reads one block of a message; a problem if it is none.
local function read_block(block, at, role, ask, calls)
  local kind = type(block) == "table" and block.type
  if kind == "text" then
    if type(block.text) ~= "string" or block.text == "" then
      return problem("messages: text content blocks must be non-empty")
    end
    ask.input = ask.input + turn.tokens(block.text)
    if role == "user" then ask.said = block.text end
  elseif kind == "image" or kind == "document" then
    if type(block.source) ~= "table" or not block.source.type then
      return problem("%s.%s.source: Field required", at, kind)
    end
    ask.input = ask.input + IMAGE
  elseif kind == "tool_use" then
    if type(block.input) ~= "table" then
      return problem("%s.tool_use.input: Input should be a valid dictionary", at)
    end
    calls[block.id or ""] = block.name
  elseif kind == "tool_result" then
    local name, text = calls[block.tool_use_id or ""], text_of(block.content)
    if not name then
      return problem("%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each "
        .. "`tool_result` block must have a corresponding `tool_use` block in the previous "
        .. "message.", at, tostring(block.tool_use_id))
    end
    ask.result, ask.input = { name = name, text = text }, ask.input + turn.tokens(text)
  elseif kind ~= "thinking" and kind ~= "redacted_thinking" then
    return problem("%s: Input tag '%s' found using 'type' does not match any of the expected tags",
      at, tostring(kind))
  end
  return true
end

local function read_messages(list, ask)
  local calls = {}
  for i, message in ipairs(list) do
    local at, role = ("messages.%d"):format(i - 1), type(message) == "table" and message.role
    if role == "system" then
      return problem('messages: Unexpected role "system". The Messages API accepts a top-level '
        .. "`system` parameter, not \"system\" as an input message role.")
    elseif role ~= "user" and role ~= "assistant" then
      return problem("%s.role: Input should be 'user' or 'assistant'", at)
    end
    local content = message.content
    if type(content) == "string" then content = { { type = "text", text = content } } end
    if type(content) ~= "table" or #content == 0 then
      return problem("%s: all messages must have non-empty content", at)
    end
    ask.result, ask.input = nil, ask.input + OVERHEAD
    for j, block in ipairs(content) do
      local ok, wrong = read_block(block, ("%s.content.%d"):format(at, j - 1), role, ask, calls)
      if not ok then return nil, wrong end
    end
  end
  return ask
end

local function read_tools(body, ask)
  local choice = body.tool_choice
  if choice ~= nil and (type(choice) ~= "table" or not choice.type) then
    return problem("tool_choice: Input should be a valid dictionary or object to extract fields "
      .. "from")
  end
  ask.tools = {}
  for i, tool in ipairs(type(body.tools) == "table" and body.tools or {}) do
    if type(tool) ~= "table" or type(tool.name) ~= "string" then
      return problem("tools.%d.name: Field required", i - 1)
    elseif type(tool.input_schema) ~= "table" then
      return problem("tools.%d.custom.input_schema: Field required", i - 1)
    end
    ask.tools[i] = { name = tool.name, schema = tool.input_schema }
  end
  local kind = choice and choice.type
  if kind == "none" then ask.tools = {} end
  if kind == "any" then ask.force = true end
  if kind == "tool" then ask.force = choice.name end
  return ask
end

-- What counting and answering have in common.
local function read_count(body)
  if type(body.model) ~= "string" then return problem "model: Field required" end
  if type(body.messages) ~= "table" then return problem "messages: Field required" end
  if #body.messages == 0 then return problem "messages: at least one message is required" end
  local ask = { model = body.model, input = turn.tokens(text_of(body.system)), said = "" }
  local ok, wrong = read_messages(body.messages, ask)
  if not ok then return nil, wrong end
  return read_tools(body, ask)
end

local function read(body)
  if body.max_tokens == nil then return problem "max_tokens: Field required" end
  if not turn.whole(body.max_tokens) then
    return problem "max_tokens: Input should be greater than or equal to 1"
  end
  local ask, wrong = read_count(body)
  if not ask then return nil, wrong end
  ask.most, ask.stream, ask.stop = body.max_tokens, body.stream == true, body.stop_sequences
  local format = type(body.output_config) == "table" and body.output_config.format
  if type(format) == "table" and format.type == "json_schema" then ask.schema = format.schema end
  return ask
end

local function usage_of(t, output)
  return { input_tokens = t.input - t.cached, cache_creation_input_tokens = 0,
    cache_read_input_tokens = t.cached, output_tokens = output, service_tier = "standard" }
end

local function blocks_of(ask, t)
  local blocks = json.array {}
  if t.text ~= "" then blocks[1] = { type = "text", text = t.text } end
  for i, call in ipairs(t.calls) do
    blocks[#blocks + 1] = { type = "tool_use", id = ("toolu_mock%d_%d"):format(ask.seen, i),
      name = call.name, input = call.arguments }
  end
  return blocks
end

local function answer(ask, t)
  return { id = ("msg_mock%d"):format(ask.seen), type = "message", role = "assistant",
    model = ask.model, content = blocks_of(ask, t), stop_reason = stop_reason[t.reason],
    stop_sequence = t.sequence or json.null, usage = usage_of(t, t.output) }
end

local function event(kind, data)
  data.type = kind
  return ("event: %s\ndata: %s\n\n"):format(kind, json.encode(data))
end

-- The deltas of a block.
local function deltas_of(block)
  local deltas = {}
  if block.type == "text" then
    for i, piece in ipairs(turn.pieces(block.text)) do
      deltas[i] = { type = "text_delta", text = piece }
    end
    return deltas
  end
  local text = json.encode(block.input)
  local half = #text // 2
  for i, piece in ipairs { "", text:sub(1, half), text:sub(half + 1) } do
    deltas[i] = { type = "input_json_delta", partial_json = piece }
  end
  return deltas
end

-- A block as it begins: without what its deltas bring.
local function begun(block)
  if block.type == "text" then return { type = "text", text = "" } end
  return { type = "tool_use", id = block.id, name = block.name, input = {} }
end

local function events(ask, t)
  local whole = answer(ask, t)
  local blocks = whole.content
  whole.content, whole.stop_reason, whole.stop_sequence = json.array {}, json.null, json.null
  whole.usage = usage_of(t, 1)
  local list = { event("message_start", { message = whole }) }
  for i, block in ipairs(blocks) do
    list[#list + 1] = event("content_block_start", { index = i - 1, content_block = begun(block) })
    if i == 1 then list[#list + 1] = event("ping", {}) end
    for _, delta in ipairs(deltas_of(block)) do
      list[#list + 1] = event("content_block_delta", { index = i - 1, delta = delta })
    end
    list[#list + 1] = event("content_block_stop", { index = i - 1 })
  end
  list[#list + 1] = event("message_delta", { usage = { output_tokens = t.output },
    delta = { stop_reason = stop_reason[t.reason], stop_sequence = t.sequence or json.null } })
  list[#list + 1] = event("message_stop", {})
  return list, 3
end

--- The route of messages.
messages.route = { method = "POST", path = "^/v1/messages$", read = read, answer = answer,
  events = events,
  broken = function()
    return event("error", { error = { type = "overloaded_error", message = "Overloaded" } })
  end }

--- The route that counts their tokens only.
messages.count = { method = "POST", path = "^/v1/messages/count_tokens$", silent = true,
  read = read_count, answer = function(_, t) return { input_tokens = t.input } end }

return messages
