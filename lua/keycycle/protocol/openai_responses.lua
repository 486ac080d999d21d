--- OpenAI responses, which xAI, Perplexity, DeepSeek and others speak too.
--- Pure: tables in, tables out.
---
--- Nothing is left with the server between calls: a key of another organisation does
--- not know what the first one's response stored. So items go without their ids, and
--- reasoning items, which only their own organisation can read, are not sent back.
local answer = require "keycycle.protocol.answer"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local openai_responses = {}

local given, whole = answer.given, answer.whole
local MOST_ID = 64 -- bytes of a call_id that OpenAI takes

local function id_of(id) return neutral.tool_id(id, ".+", MOST_ID) end

local function content_of(message)
  if neutral.is_text(message) and #message.parts == 1 then return message.parts[1].text end
  local content = {}
  for i, part in ipairs(message.parts) do
    content[i] = part.type == "text" and { type = "input_text", text = part.text }
      or { type = "input_image", image_url = neutral.image_url(part) }
  end
  return content
end

local function add_assistant(input, message)
  local text = neutral.text_of(message)
  if text ~= "" then input[#input + 1] = { role = "assistant", content = text } end
  for _, call in ipairs(message.calls) do
    input[#input + 1] = { type = "function_call", call_id = id_of(call.id), name = call.name,
      arguments = answer.arguments_text(call.arguments) }
  end
end

local function input_of(messages)
  local input = {}
  for _, message in ipairs(messages) do
    if message.role == "user" then
      input[#input + 1] = { role = "user", content = content_of(message) }
    elseif message.role == "tool" then
      input[#input + 1] = { type = "function_call_output", call_id = id_of(message.tool_call_id),
        output = content_of(message) }
    elseif message.role == "assistant" then
      add_assistant(input, message)
    end
  end
  return input
end

-- Strict is the default here, unlike in chat: it must be said.
local function tools_of(tools)
  if not tools then return nil end
  local out = {}
  for i, tool in ipairs(tools) do
    out[i] = { type = "function", name = tool.name, description = tool.description,
      parameters = tool.parameters, strict = tool.strict == true }
  end
  return out
end

local function choice_of(choice)
  if type(choice) ~= "table" then return choice end
  return { type = "function", name = choice.name }
end

local function format_of(format)
  if not format then return nil end
  if format.type == "json" then return { format = { type = "json_object" } } end
  return { format = { type = "json_schema", name = format.name, schema = format.schema,
    strict = format.strict } }
end

--- The native request for a neutral one. Raises a text that names the field; `stop`
--- cannot be said, and `seed`, a wish in every dialect, is left out.
---@param request table neutral (keycycle.Request)
---@return table `{ json }`
function openai_responses.encode(request)
  local messages, tools = neutral.messages(request), neutral.tools(request)
  if neutral.stop(request) then neutral.fail "stop: the responses dialect has no such field" end
  local json = {
    model = neutral.model(request), input = input_of(messages),
    instructions = neutral.system_text(messages), tools = tools_of(tools),
    tool_choice = choice_of(neutral.tool_choice(request, tools)),
    text = format_of(neutral.response_format(request)),
    temperature = neutral.number(request, "temperature"), top_p = neutral.number(request, "top_p"),
    max_output_tokens = neutral.count(request, "max_tokens"),
    stream = request.stream and true or nil,
  }
  if #json.input == 0 then neutral.fail "messages has nothing but system messages" end
  return { json = neutral.merge(json, request.extra) }
end

--- Usage of an answer, or of an event that has one in its `response`, else nil.
function openai_responses.usage(body)
  body = answer.table(body)
  local usage = body.usage or answer.table(body.response).usage
  if type(usage) ~= "table" then return nil end
  local input = answer.table(usage.input_tokens_details)
  return answer.usage(whole(usage.input_tokens), whole(usage.output_tokens),
    whole(usage.total_tokens), {
      -- The second is Perplexity's.
      cached_tokens = answer.first(input.cached_tokens, input.cache_read_input_tokens),
      reasoning_tokens = answer.first(answer.table(usage.output_tokens_details).reasoning_tokens),
    })
end

local function reason_of(response, called, refused)
  if response.status == "incomplete" then
    local why = answer.table(response.incomplete_details).reason
    return why == "content_filter" and "content_filter" or "length"
  end
  if refused then return "content_filter" end
  return called and "tool_calls" or "stop"
end

--- Whether an answer with status 200 is a failure.
function openai_responses.failure(body)
  body = answer.table(body)
  return given(body.error) or body.status == "failed"
end

local function add_message(said, item)
  for _, part in ipairs(answer.table(item.content)) do
    part = answer.table(part)
    if part.type == "output_text" then
      said.texts[#said.texts + 1] = answer.text(part.text)
    elseif part.type == "refusal" then
      said.texts[#said.texts + 1], said.refused = answer.text(part.refusal), true
    end
  end
end

local function add_reasoning(said, item)
  for _, list in ipairs { answer.table(item.summary), answer.table(item.content) } do
    for _, part in ipairs(list) do
      said.thoughts[#said.thoughts + 1] = answer.text(answer.table(part).text)
    end
  end
end

--- The neutral response of a native answer.
---@return table
function openai_responses.decode(body)
  local inside = answer.table(body)
  local said = { texts = {}, thoughts = {}, calls = {} }
  for _, item in ipairs(answer.table(inside.output)) do
    item = answer.table(item)
    if item.type == "message" then
      add_message(said, item)
    elseif item.type == "reasoning" then
      add_reasoning(said, item)
    elseif item.type == "function_call" then
      answer.keep_call(said.calls, answer.text(item.call_id) or item.id, item.name, item.arguments)
    end
  end
  return {
    id = answer.text(inside.id), model = answer.text(inside.model),
    content = table.concat(said.texts), reasoning = answer.text(table.concat(said.thoughts, "\n")),
    tool_calls = said.calls, usage = openai_responses.usage(inside),
    finish_reason = reason_of(inside, #said.calls > 0, said.refused), raw = body,
  }
end

local function item_added(data, state)
  local item = answer.table(data.item)
  if item.type ~= "function_call" then return nil end
  local id = answer.text(item.call_id) or answer.text(item.id)
  local index = answer.slot(state, data.output_index, id)
  local text = answer.text(item.arguments)
  state.written = state.written or {}
  state.written[index] = text ~= nil
  local chunk = {}
  answer.add_call(chunk, { index = index, id = id, name = answer.text(item.name),
    arguments = text or "" })
  return chunk
end

-- A piece of arguments; the whole of them again once they are done, which is news
-- only where no piece came.
local function arguments_piece(data, state, text)
  local index = answer.slot(state, data.output_index)
  state.written = state.written or {}
  if not answer.text(text) or (data.delta == nil and state.written[index]) then return nil end
  state.written[index] = true
  local chunk = {}
  answer.add_call(chunk, { index = index, arguments = text })
  return chunk
end

local function ended(data, state)
  local response = answer.table(data.response)
  return { done = true, usage = openai_responses.usage(data), id = answer.text(response.id),
    model = answer.text(response.model),
    finish_reason = reason_of(response, answer.called(state), state.refused) }
end

local function broken(data)
  return { error = true, usage = openai_responses.usage(data) }
end

local events = {
  ["response.output_text.delta"] = function(data) return { text = answer.text(data.delta) } end,
  ["response.refusal.delta"] = function(data, state)
    state.refused = true
    return { text = answer.text(data.delta) }
  end,
  ["response.reasoning_summary_text.delta"] = function(data)
    return { reasoning = answer.text(data.delta) }
  end,
  ["response.reasoning_text.delta"] = function(data)
    return { reasoning = answer.text(data.delta) }
  end,
  ["response.output_item.added"] = item_added,
  ["response.function_call_arguments.delta"] = function(data, state)
    return arguments_piece(data, state, data.delta)
  end,
  ["response.function_call_arguments.done"] = function(data, state)
    return arguments_piece(data, state, data.arguments)
  end,
  ["response.completed"] = ended, ["response.incomplete"] = ended,
  ["response.failed"] = broken, ["error"] = broken,
}

--- What one event of a stream says, or nil.
---@param kind string the event's type; the data's own `type` is read where it has none
---@param data any the decoded event
---@param state table the stream's, empty at its begin
---@return table? chunk
function openai_responses.event(kind, data, state)
  if type(data) ~= "table" then return nil end
  local read = events[data.type or kind] or events[kind]
  if not read and given(data.error) then read = broken end
  local chunk = read and read(data, state)
  return chunk and answer.chunk(chunk, data)
end

--- Tokens of a native request's input.
function openai_responses.estimate_input(request)
  return estimate.chat(request, "input", { "instructions", "text" })
end

--- Tokens to reserve for a native request: the input and the most that may come back.
function openai_responses.estimate(request)
  request = answer.table(request)
  return openai_responses.estimate_input(request) + estimate.most(request.max_output_tokens)
end

return openai_responses
