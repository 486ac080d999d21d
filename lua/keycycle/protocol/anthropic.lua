--- Anthropic messages. Pure: tables in, tables out.
---
--- What only this dialect understands of an answer (thinking with its signature,
--- blocks of the server's own tools) is kept in `extra.anthropic.content` and goes
--- back unchanged where the conversation is continued.
local answer = require "keycycle.protocol.answer"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local anthropic = {
  --- message_stop comes after the event with the finish_reason.
  ends_late = true,
  --- max_tokens is required here; this is sent where the request does not say.
  DEFAULT_MAX_TOKENS = 4096,
}

local whole = answer.whole
local MOST_ID = 64
-- There is no JSON mode without a schema.
local JSON_INSTRUCTION = "Answer with one JSON object and nothing else."

local function id_of(id) return neutral.tool_id(id, "[%w_-]+", MOST_ID) end

local function image_of(part)
  if part.url then return { type = "image", source = { type = "url", url = part.url } } end
  return { type = "image",
    source = { type = "base64", media_type = part.media_type, data = part.data } }
end

local function blocks_of(message)
  local blocks = {}
  for i, part in ipairs(message.parts) do
    blocks[i] = part.type == "text" and { type = "text", text = part.text } or image_of(part)
  end
  return blocks
end

local function content_of(message)
  if neutral.is_text(message) and #message.parts == 1 then return message.parts[1].text end
  return blocks_of(message)
end

local function assistant_of(message)
  local kept = answer.table(message.extra.anthropic).content
  if type(kept) == "table" then return { role = "assistant", content = kept } end
  local blocks, text = {}, neutral.text_of(message)
  if text ~= "" then blocks[1] = { type = "text", text = text } end
  for _, call in ipairs(message.calls) do
    blocks[#blocks + 1] = { type = "tool_use", id = id_of(call.id), name = call.name,
      input = call.arguments }
  end
  if #blocks == 0 then return nil end -- the server refuses an empty message
  return { role = "assistant", content = #message.calls > 0 and blocks or text }
end

-- Results of tools stand in one user message, before anything else that the user says.
local function add_user(out, message)
  local last = out[#out]
  local results = last and last.role == "user" and type(last.content) == "table"
    and last.content[1].type == "tool_result" and last.content
  if message.role == "tool" then
    local block = { type = "tool_result", tool_use_id = id_of(message.tool_call_id),
      content = content_of(message) }
    if results then results[#results + 1] = block return end
    out[#out + 1] = { role = "user", content = { block } }
  elseif results then
    for _, block in ipairs(blocks_of(message)) do results[#results + 1] = block end
  else
    out[#out + 1] = { role = "user", content = content_of(message) }
  end
end

local function messages_of(messages)
  local out = {}
  for _, message in ipairs(messages) do
    if message.role == "assistant" then
      out[#out + 1] = assistant_of(message)
    elseif message.role ~= "system" then
      add_user(out, message)
    end
  end
  return out
end

local function tools_of(tools)
  if not tools then return nil end
  local out = {}
  for i, tool in ipairs(tools) do
    out[i] = { name = tool.name, description = tool.description,
      input_schema = tool.parameters, strict = tool.strict }
  end
  return out
end

local choices = { auto = "auto", none = "none", required = "any" }

local function choice_of(choice)
  if choice == nil then return nil end
  if type(choice) == "table" then return { type = "tool", name = choice.name } end
  return { type = choices[choice] }
end

local function with_json(system, format)
  if not (format and format.type == "json") then return system end
  return system and system .. "\n\n" .. JSON_INSTRUCTION or JSON_INSTRUCTION
end

local function config_of(format)
  if not (format and format.type == "json_schema") then return nil end
  return { format = { type = "json_schema", schema = format.schema } }
end

--- The native request for a neutral one. Raises a text that names the field. `seed`,
--- a wish in every dialect, is left out.
---@param request table neutral (keycycle.Request)
---@return table `{ json }`
function anthropic.encode(request)
  local messages, tools = neutral.messages(request), neutral.tools(request)
  local format = neutral.response_format(request)
  local json = {
    model = neutral.model(request), messages = messages_of(messages),
    system = with_json(neutral.system_text(messages), format), output_config = config_of(format),
    max_tokens = neutral.count(request, "max_tokens") or anthropic.DEFAULT_MAX_TOKENS,
    tools = tools_of(tools), tool_choice = choice_of(neutral.tool_choice(request, tools)),
    temperature = neutral.number(request, "temperature"), top_p = neutral.number(request, "top_p"),
    stop_sequences = neutral.stop(request), stream = request.stream and true or nil,
  }
  if #json.messages == 0 then neutral.fail "messages has nothing but system messages" end
  return { json = neutral.merge(json, request.extra) }
end

-- What was written to the cache or read from it is input too, and not in
-- input_tokens; no total is told.
local function usage_of(usage)
  if type(usage) ~= "table" then return nil end
  local written = whole(usage.cache_creation_input_tokens)
  local cached = whole(usage.cache_read_input_tokens)
  return answer.usage(whole(usage.input_tokens) + written + cached, whole(usage.output_tokens),
    nil, {
      cached_tokens = answer.first(cached), cache_write_tokens = answer.first(written),
      reasoning_tokens = answer.first(answer.table(usage.output_tokens_details).thinking_tokens),
    })
end

--- Usage of an answer, or of the first event of a stream, else nil. The later events
--- tell only a part: `event` puts them together.
function anthropic.usage(body)
  body = answer.table(body)
  return usage_of(body.usage or answer.table(body.message).usage)
end

local reasons = {
  end_turn = "stop", stop_sequence = "stop", pause_turn = "stop", tool_use = "tool_calls",
  max_tokens = "length", model_context_window_exceeded = "length", refusal = "content_filter",
}

-- The blocks, where the neutral form says less than they do.
local function extra_of(blocks)
  for _, block in ipairs(blocks) do
    local kind = answer.table(block).type
    if kind ~= "text" and kind ~= "tool_use" then return { anthropic = { content = blocks } } end
  end
  return nil
end

--- The neutral response of a native answer.
---@return table
function anthropic.decode(body)
  local inside = answer.table(body)
  local blocks = answer.table(inside.content)
  local texts, thoughts, calls = {}, {}, {}
  for _, block in ipairs(blocks) do
    block = answer.table(block)
    if block.type == "text" then
      texts[#texts + 1] = answer.text(block.text)
    elseif block.type == "thinking" then
      thoughts[#thoughts + 1] = answer.text(block.thinking)
    elseif block.type == "tool_use" then
      answer.keep_call(calls, block.id, block.name, answer.table(block.input))
    end
  end
  return {
    id = answer.text(inside.id), model = answer.text(inside.model), content = table.concat(texts),
    reasoning = answer.text(table.concat(thoughts, "\n")), tool_calls = calls,
    finish_reason = reasons[inside.stop_reason] or (#calls > 0 and "tool_calls" or "stop"),
    usage = anthropic.usage(inside), extra = extra_of(blocks), raw = body,
  }
end

local function note_usage(state, usage)
  state.usage = state.usage or {}
  for name, value in pairs(answer.table(usage)) do
    if answer.given(value) then state.usage[name] = value end
  end
  return usage_of(state.usage)
end

-- The blocks of a stream are put together again beside what its chunks say.
local function block_started(data, state)
  local block, copy = answer.table(data.content_block), {}
  for name, value in pairs(block) do copy[name] = value end
  state.blocks = state.blocks or {}
  state.blocks[#state.blocks + 1] = copy
  state.block, state.pieces = copy, {}
  if block.type == "text" then return { text = answer.text(block.text) } end
  if block.type == "thinking" then return { reasoning = answer.text(block.thinking) } end
  if block.type ~= "tool_use" then return {} end
  local id, chunk = answer.text(block.id), {}
  local input = answer.table(block.input)
  state.slot = answer.slot(state, data.index, id)
  answer.add_call(chunk, { index = state.slot, id = id, name = answer.text(block.name),
    arguments = next(input) ~= nil and answer.arguments_text(input) or "" })
  return chunk
end

local fields = { text_delta = "text", thinking_delta = "thinking", signature_delta = "signature",
  input_json_delta = "partial_json" }

local function block_piece(data, state)
  local delta = answer.table(data.delta)
  local piece = answer.text(delta[fields[delta.type] or ""])
  if not piece then return {} end
  local pieces = state.pieces or {}
  pieces[delta.type] = pieces[delta.type] or {}
  table.insert(pieces[delta.type], piece)
  if delta.type == "text_delta" then return { text = piece } end
  if delta.type == "thinking_delta" then return { reasoning = piece } end
  if delta.type == "signature_delta" or answer.table(state.block).type ~= "tool_use" then
    return {}
  end
  local chunk = {}
  answer.add_call(chunk, { index = state.slot, arguments = piece })
  return chunk
end

local function block_stopped(_, state)
  local block = state.block
  if not block then return {} end
  for kind, list in pairs(state.pieces) do
    local text = table.concat(list)
    if kind == "input_json_delta" then
      block.input = answer.arguments(text)
    else
      block[fields[kind]] = (answer.text(block[fields[kind]]) or "") .. text
    end
  end
  state.block, state.pieces = nil, nil
  return {}
end

local events = {
  message_start = function(data, state)
    local message = answer.table(data.message)
    state.id, state.model = answer.text(message.id), answer.text(message.model)
    return { usage = note_usage(state, message.usage) }
  end,
  content_block_start = block_started,
  content_block_delta = block_piece,
  content_block_stop = block_stopped,
  message_delta = function(data, state)
    local native = answer.table(data.delta).stop_reason
    local chunk = { usage = note_usage(state, data.usage) }
    if answer.text(native) then
      chunk.finish_reason = reasons[native] or (answer.called(state) and "tool_calls" or "stop")
      chunk.id, chunk.model = state.id, state.model
      chunk.extra = extra_of(state.blocks or {})
    end
    return chunk
  end,
  message_stop = function() return { done = true } end,
  error = function() return { error = true } end,
}

--- What one event of a stream says, or nil.
---@param kind string the event's type; the data's own `type` is read where it has none
---@param data any the decoded event
---@param state table the stream's, empty at its begin
---@return table? chunk
function anthropic.event(kind, data, state)
  if type(data) ~= "table" then return nil end
  local read = events[data.type or kind] or events[kind]
  if not read and answer.given(data.error) then read = events.error end
  return read and answer.chunk(read(data, state), data)
end

--- Tokens of a native request's input.
function anthropic.estimate_input(request)
  return estimate.chat(request, "messages", { "system" })
end

--- Tokens to reserve for a native request: the input and the most that may come back.
function anthropic.estimate(request)
  request = answer.table(request)
  return anthropic.estimate_input(request) + estimate.most(request.max_tokens)
end

return anthropic
