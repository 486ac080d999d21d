--- Cohere chat, version 2. Pure: tables in, tables out.
---
--- The plan that comes before tool calls is kept in `extra.cohere` and goes back with
--- them.
local answer = require "keycycle.protocol.answer"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"
local openai_chat = require "keycycle.protocol.openai_chat"

local cohere = {}

local given, whole = answer.given, answer.whole

local function content_of(message)
  if neutral.is_text(message) then return neutral.text_of(message) end
  local content = {}
  for i, part in ipairs(message.parts) do
    content[i] = part.type == "text" and { type = "text", text = part.text }
      or { type = "image_url", image_url = { url = neutral.image_url(part) } }
  end
  return content
end

local function assistant_of(message)
  local text = neutral.text_of(message)
  local out = { role = "assistant", content = text }
  if #message.calls == 0 then return out end
  if text == "" then out.content = nil end
  out.tool_plan = answer.text(answer.table(message.extra.cohere).tool_plan)
  out.tool_calls = {}
  for i, call in ipairs(message.calls) do
    out.tool_calls[i] = { id = call.id, type = "function",
      ["function"] = { name = call.name, arguments = answer.arguments_text(call.arguments) } }
  end
  return out
end

local function messages_of(request)
  local out = {}
  for i, message in ipairs(neutral.messages(request)) do
    if message.role == "assistant" then
      out[i] = assistant_of(message)
    elseif message.role == "user" then
      out[i] = { role = "user", content = content_of(message) }
    else
      out[i] = { role = message.role, content = neutral.text_of(message),
        tool_call_id = message.tool_call_id }
    end
  end
  return out
end

-- One tool cannot be asked for by name: it is the only one sent then.
local function tools_of(tools, choice)
  if type(choice) ~= "table" then return tools end
  for _, tool in ipairs(tools) do
    if tool.name == choice.name then return { tool } end
  end
end

local choices = { required = "REQUIRED", none = "NONE" } -- "auto" is what no word means

local function format_of(format)
  return format and { type = "json_object", json_schema = format.schema } or nil
end

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral (keycycle.Request)
---@return table `{ json }`
function cohere.encode(request)
  local tools = neutral.tools(request)
  local choice = neutral.tool_choice(request, tools)
  local json = {
    model = neutral.model(request), messages = messages_of(request),
    tools = openai_chat.tools(tools_of(tools, choice)),
    tool_choice = type(choice) == "table" and "REQUIRED" or choices[choice],
    response_format = format_of(neutral.response_format(request)),
    max_tokens = neutral.count(request, "max_tokens"),
    temperature = neutral.number(request, "temperature"), p = neutral.number(request, "top_p"),
    stop_sequences = neutral.stop(request), seed = neutral.number(request, "seed"),
    stream = request.stream and true or nil,
  }
  return { json = neutral.merge(json, request.extra) }
end

--- Usage in a table that has `tokens` or `billed_units`; nil where neither counts any.
--- What went through the model is what limits count; what is billed is less.
function cohere.tokens(usage)
  usage = answer.table(usage)
  local tokens, billed = answer.table(usage.tokens), answer.table(usage.billed_units)
  local counted = whole(tokens.input_tokens) + whole(tokens.output_tokens) > 0 and tokens or billed
  return answer.usage(whole(counted.input_tokens), whole(counted.output_tokens), nil,
    { cached_tokens = answer.first(usage.cached_tokens) })
end

--- Usage of an answer, or of the event that ends a stream, else nil.
function cohere.usage(body)
  body = answer.table(body)
  return cohere.tokens(body.usage or answer.table(body.delta).usage)
end

local reasons = {
  COMPLETE = "stop", STOP_SEQUENCE = "stop", MAX_TOKENS = "length", TOOL_CALL = "tool_calls",
  ERROR_TOXIC = "content_filter",
}
local failures = { ERROR = true, TIMEOUT = true, ERROR_LIMIT = true }

local function reason_of(native, called)
  return reasons[native] or (called and "tool_calls" or "stop")
end

--- Whether an answer with status 200 is a failure.
function cohere.failure(body)
  body = answer.table(body)
  return given(body.error) or failures[body.finish_reason] == true
end

--- The neutral response of a native answer. `reasoning` is what was thought, or the
--- plan for the tool calls.
---@return table
function cohere.decode(body)
  local inside = answer.table(body)
  local message = answer.table(inside.message)
  local texts, thoughts, calls = {}, {}, {}
  for _, part in ipairs(answer.table(message.content)) do
    part = answer.table(part)
    texts[#texts + 1] = answer.text(part.text)
    thoughts[#thoughts + 1] = answer.text(part.thinking)
  end
  local plan = answer.text(message.tool_plan)
  thoughts[#thoughts + 1] = plan
  for _, call in ipairs(answer.table(message.tool_calls)) do
    call = answer.table(call)
    local made = answer.table(call["function"])
    answer.keep_call(calls, call.id, made.name, made.arguments)
  end
  return {
    id = answer.text(inside.id), model = answer.text(inside.model),
    content = answer.text(message.content) or table.concat(texts),
    reasoning = answer.text(table.concat(thoughts, "\n")), tool_calls = calls,
    finish_reason = reason_of(inside.finish_reason, #calls > 0), usage = cohere.usage(inside),
    extra = plan and { cohere = { tool_plan = plan } } or nil, raw = body,
  }
end

local function message_in(data)
  return answer.table(answer.table(data.delta).message)
end

local function content(data)
  local part = answer.table(message_in(data).content)
  return { text = answer.text(part.text), reasoning = answer.text(part.thinking) }
end

-- One call an event, in a table or a list of one.
local function call_piece(data, state)
  local call = answer.table(message_in(data).tool_calls)
  if call[1] then call = answer.table(call[1]) end
  local made, id, chunk = answer.table(call["function"]), answer.text(call.id), {}
  if not id and made.arguments == nil then return chunk end
  answer.add_call(chunk, { index = answer.slot(state, data.index, id), id = id,
    name = answer.text(made.name), arguments = answer.text(made.arguments) or "" })
  return chunk
end

local function ended(data, state)
  local delta = answer.table(data.delta)
  local chunk = { usage = cohere.usage(data), done = true }
  if given(delta.error) or failures[delta.finish_reason] then
    return { usage = chunk.usage, error = true }
  end
  chunk.finish_reason = reason_of(delta.finish_reason, answer.called(state))
  chunk.id = state.id
  if state.plan then
    chunk.extra = { cohere = { tool_plan = table.concat(state.plan) } }
  end
  return chunk
end

local events = {
  ["message-start"] = function(data, state)
    state.id = answer.text(data.id)
    return {}
  end,
  ["content-start"] = content, ["content-delta"] = content,
  ["tool-plan-delta"] = function(data, state)
    local piece = answer.text(message_in(data).tool_plan)
    if not piece then return {} end
    state.plan = state.plan or {}
    state.plan[#state.plan + 1] = piece
    return { reasoning = piece }
  end,
  ["tool-call-start"] = call_piece, ["tool-call-delta"] = call_piece,
  ["message-end"] = ended,
}

--- What one event of a stream says, or nil.
---@param kind string the event's type; the data's own `type` is read where it has none
---@param data any the decoded event
---@param state table the stream's, empty at its begin
---@return table? chunk
function cohere.event(kind, data, state)
  if type(data) ~= "table" then return nil end
  local read = events[data.type or kind] or events[kind]
  if read then return answer.chunk(read(data, state), data) end
  return given(data.error) and answer.chunk({ error = true }, data) or nil
end

--- Tokens of a native request's input.
function cohere.estimate_input(request)
  return estimate.chat(request, "messages", { "documents", "response_format" })
end

--- Tokens to reserve for a native request: the input and the most that may come back.
function cohere.estimate(request)
  request = answer.table(request)
  return cohere.estimate_input(request) + estimate.most(request.max_tokens)
end

return cohere
