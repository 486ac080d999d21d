--- OpenAI chat completions, which many servers speak with small differences.
--- Pure: tables in, tables out.
---
--- `encode` takes `options`, which an adapter gives for its server:
---   max_tokens_field  "max_tokens" (default: what most servers know), or
---                     "max_completion_tokens" (OpenAI's reasoning models refuse the other)
---   seed_field        "seed" (default), "random_seed" at Mistral
---   stream_usage      false: the server refuses stream_options, or needs none
---   tool_id_length    tool-call ids must be exactly so many letters and digits (9 at Mistral)
---   send_reasoning    true: the reasoning of turns with tool calls is sent back, as
---                     reasoning_content (DeepSeek's thinking models ask for it)
local answer = require "keycycle.protocol.answer"
local ascii = require "keycycle.ascii"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local openai_chat = {
  --- Usage and [DONE] come after the finish_reason; a body may end without either.
  ends_late = true,
}

local given, whole, text_of = answer.given, answer.whole, answer.text
local type, next = type, next
local TEXTS = { "response_format" } -- what holds texts beside the messages
local NOTHING = {} -- what is missing; never written to, never handed out

-- answer.table, for what is only read here: an event has a dozen of them, and most are
-- not there.
local function inside_of(value)
  if value == nil then return NOTHING end
  return type(value) == "table" and value or NOTHING
end

local MOST_ID = 40 -- bytes of a tool call's id that OpenAI takes

local function content_of(message)
  if neutral.is_text(message) and #message.parts == 1 then return message.parts[1].text end
  local content = {}
  for i, part in ipairs(message.parts) do
    content[i] = part.type == "text" and { type = "text", text = part.text }
      or { type = "image_url", image_url = { url = neutral.image_url(part) } }
  end
  return content
end

local function id_of(id, options)
  local length = options.tool_id_length
  if length then return neutral.tool_id(id, "%w+", length, length) end
  return neutral.tool_id(id, ".+", MOST_ID)
end

local function assistant_of(message, options)
  local text = neutral.text_of(message)
  local out = { role = "assistant", content = text, name = message.name }
  if #message.calls == 0 then return out end
  if text == "" then out.content = nil end
  if options.send_reasoning then out.reasoning_content = message.reasoning end
  out.tool_calls = {}
  for i, call in ipairs(message.calls) do
    out.tool_calls[i] = { id = id_of(call.id, options), type = "function",
      ["function"] = { name = call.name, arguments = answer.arguments_text(call.arguments) } }
  end
  return out
end

local function messages_of(request, options)
  local out = {}
  for i, message in ipairs(neutral.messages(request)) do
    if message.role == "assistant" then
      out[i] = assistant_of(message, options)
    elseif message.role == "user" then
      out[i] = { role = "user", content = content_of(message), name = message.name }
    else
      out[i] = { role = message.role, content = neutral.text_of(message), name = message.name }
      if message.role == "tool" then
        out[i].name, out[i].tool_call_id = nil, id_of(message.tool_call_id, options)
      end
    end
  end
  return out
end

--- Tools in OpenAI's form, which Cohere's is too; nil: none.
function openai_chat.tools(tools)
  if not tools then return nil end
  local out = {}
  for i, tool in ipairs(tools) do
    out[i] = { type = "function", ["function"] = { name = tool.name,
      description = tool.description, parameters = tool.parameters, strict = tool.strict } }
  end
  return out
end

local function choice_of(choice)
  if type(choice) ~= "table" then return choice end
  return { type = "function", ["function"] = { name = choice.name } }
end

local function format_of(format)
  if not format then return nil end
  if format.type == "json" then return { type = "json_object" } end
  return { type = "json_schema",
    json_schema = { name = format.name, schema = format.schema, strict = format.strict } }
end

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral (keycycle.Request)
---@param options? table see above
---@return table `{ json }`
function openai_chat.encode(request, options)
  options = options or {}
  local tools = neutral.tools(request)
  local json = {
    model = neutral.model(request), messages = messages_of(request, options),
    tools = openai_chat.tools(tools), tool_choice = choice_of(neutral.tool_choice(request, tools)),
    response_format = format_of(neutral.response_format(request)),
    temperature = neutral.number(request, "temperature"), top_p = neutral.number(request, "top_p"),
    stop = neutral.stop(request), stream = request.stream and true or nil,
  }
  json[options.max_tokens_field or "max_tokens"] = neutral.count(request, "max_tokens")
  json[options.seed_field or "seed"] = neutral.number(request, "seed")
  if json.stream and options.stream_usage ~= false then
    json.stream_options = { include_usage = true }
  end
  return { json = neutral.merge(json, request.extra) }
end

-- Cloudflare wraps some answers.
local function unwrap(body)
  body = inside_of(body)
  if body.choices ~= nil then return body end
  local inside = body.result
  return type(inside) == "table" and inside or body
end

local function first_choice(body)
  return inside_of(inside_of(body.choices)[1])
end

-- Text, and what was thought: content may be a list of typed parts (Mistral), or a
-- number (Cloudflare).
local function texts_of(content)
  if content == nil then return "" end
  if type(content) == "string" then return content end
  if type(content) == "number" then return ascii.point(("%.14g"):format(content)) end
  local said, thought = {}, {}
  for _, part in ipairs(inside_of(content)) do
    part = inside_of(part)
    if type(part.text) == "string" then
      said[#said + 1] = part.text
    elseif part.type == "thinking" then
      thought[#thought + 1] = (texts_of(part.thinking))
    end
  end
  return table.concat(said), table.concat(thought)
end

local function read(message)
  local said, thought = texts_of(message.content)
  local reasoning, other, refusal = message.reasoning_content, message.reasoning, message.refusal
  if reasoning ~= nil or other ~= nil then reasoning = text_of(reasoning) or text_of(other) end
  if refusal ~= nil then said = said .. (text_of(refusal) or "") end
  return said, reasoning or text_of(thought)
end

local reasons = {
  stop = "stop", eos = "stop", length = "length", model_length = "length",
  tool_calls = "tool_calls", function_call = "tool_calls", content_filter = "content_filter",
}

-- Endings that are failures of the server, not of the text.
local failures = { error = true, insufficient_system_resource = true }

local function reason_of(native, called, refused)
  if refused then return "content_filter" end
  local reason = reasons[native] or "stop"
  return reason == "stop" and called and "tool_calls" or reason
end

local function usage_in(body)
  local usage = body.usage
  if usage == nil and body.x_groq == nil then return nil end -- as in nearly all events
  if type(usage) ~= "table" then usage = inside_of(body.x_groq).usage end -- Groq's streams
  if type(usage) ~= "table" then return nil end
  local input, output = inside_of(usage.prompt_tokens_details), usage.completion_tokens_details
  return answer.usage(whole(usage.prompt_tokens), whole(usage.completion_tokens),
    whole(usage.total_tokens), {
      -- DeepSeek's and Hugging Face's own places are the second and the third.
      cached_tokens = answer.first(input.cached_tokens, usage.prompt_cache_hit_tokens,
        usage.cached_tokens),
      reasoning_tokens = answer.first(inside_of(output).reasoning_tokens),
    })
end

--- `{ input_tokens, output_tokens, total_tokens, cached_tokens, reasoning_tokens }` of
--- an answer or an event that tells it, else nil. A total above the sum of its parts
--- is output that was not counted as such (xAI's reasoning, Gemini's thoughts).
function openai_chat.usage(body)
  return usage_in(unwrap(body))
end

--- Whether an answer with status 200 is a failure (OpenRouter's are in the choice).
function openai_chat.failure(body)
  body = unwrap(body)
  local choice = first_choice(body)
  return given(body.error) or given(choice.error) or failures[choice.finish_reason] == true
end

--- The neutral response of a native answer.
---@return table
function openai_chat.decode(body)
  local inside = unwrap(body)
  local choice = first_choice(inside)
  local message = inside_of(choice.message)
  local content, reasoning = read(message)
  local calls = {}
  for _, call in ipairs(inside_of(message.tool_calls)) do
    call = inside_of(call)
    local made = inside_of(call["function"])
    answer.keep_call(calls, call.id, made.name, made.arguments)
  end
  return {
    id = text_of(inside.id), model = text_of(inside.model), content = content,
    reasoning = reasoning, tool_calls = calls, usage = usage_in(inside),
    finish_reason = reason_of(choice.finish_reason, #calls > 0, text_of(message.refusal)),
    raw = body,
  }
end

local function add_calls(chunk, delta, state)
  for _, piece in ipairs(inside_of(delta.tool_calls)) do
    piece = inside_of(piece)
    local made, id = inside_of(piece["function"]), text_of(piece.id)
    answer.add_call(chunk, { index = answer.slot(state, piece.index, id), id = id,
      name = text_of(made.name),
      arguments = made.arguments ~= nil and answer.arguments_text(made.arguments) or "" })
  end
end

local function failed(data, choice)
  local err, groq, first = data.error or choice.error, data.x_groq, data[1]
  return err and (given(data.error) or given(choice.error)) or data.object == "error"
    or failures[choice.finish_reason] or groq and given(inside_of(groq).error)
    or first and given(inside_of(first).error) -- Gemini's, in a list
end

--- What one event of a stream says, or nil.
---@param _ string the event's type, which this dialect does not use
---@param data any the decoded event
---@param state table the stream's, empty at its begin
---@return table? chunk
function openai_chat.event(_, data, state)
  if type(data) ~= "table" then return nil end
  data = unwrap(data)
  local choice, usage = first_choice(data), usage_in(data)
  if failed(data, choice) then return { usage = usage, error = true, raw = data } end
  local index, ending = choice.index, choice.finish_reason
  if index and index ~= 0 and whole(index) > 0 then -- the caller's own n > 1
    choice, ending = NOTHING, nil
  end
  local delta = inside_of(choice.delta)
  local text, reasoning = read(delta)
  local chunk = { text = text ~= "" and text or nil, reasoning = reasoning, usage = usage }
  if delta.refusal ~= nil then state.refused = state.refused or text_of(delta.refusal) ~= nil end
  if delta.tool_calls then add_calls(chunk, delta, state) end
  if text_of(ending) then
    chunk.finish_reason = reason_of(ending, answer.called(state), state.refused)
    chunk.id, chunk.model = text_of(data.id), text_of(data.model)
  end
  if data.object == "chat.completion.done" then chunk.done = true end -- Perplexity
  if next(chunk) == nil then return nil end
  chunk.raw = data
  return chunk
end

--- Tokens of a native request's input.
function openai_chat.estimate_input(request)
  return estimate.chat(request, "messages", TEXTS)
end

--- Tokens to reserve for a native request: the input and the most that may come back.
---@param request any
---@param input? integer what estimate_input said of it
function openai_chat.estimate(request, input)
  request = inside_of(request)
  return (input or openai_chat.estimate_input(request))
    + estimate.most(request.max_completion_tokens, request.max_tokens)
end

return openai_chat
