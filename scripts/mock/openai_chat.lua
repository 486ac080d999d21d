--- The mock's side of OpenAI's chat completions, for all that speak it. Pure.
---
--- A `shape` says what a provider adds: path (pattern), model_in_path, usage ("asked": in
--- a chunk of its own when stream_options wants it, "always": in such a chunk, "last":
--- in the chunk with the finish reason), before (texts sent before the first chunk),
--- answer(body, turn) and chunk(chunk, place, turn, ask), place = first content last usage.
local json = require "keycycle.json"
local turn = require "keycycle.mock.turn"

local chat = {}

local OVERHEAD = 4   -- tokens of a message beside its text
local IMAGE = 85     -- tokens of an image
local roles = { system = true, developer = true, user = true, assistant = true, tool = true }
local finish = { stop = "stop", sequence = "stop", length = "length", tool = "tool_calls",
  policy = "content_filter" }

local function problem(param, code, fmt, ...)
  return nil, { message = fmt:format(...), param = param, code = code }
end

-- The text of a message's content and its tokens; nil and a problem.
local function read_content(content, at)
  if type(content) == "string" then return content, turn.tokens(content) end
  if content == nil or content == json.null then return "", 0 end
  if type(content) ~= "table" or #content == 0 then
    return problem(at, "invalid_type", "Invalid type for '%s': expected one of a string or "
      .. "array of objects.", at)
  end
  local texts, tokens = {}, 0
  for i, part in ipairs(content) do
    local kind = type(part) == "table" and part.type
    if kind == "text" and type(part.text) == "string" then
      texts[#texts + 1] = part.text
      tokens = tokens + turn.tokens(part.text)
    elseif kind == "image_url" and type(part.image_url) == "table"
      and type(part.image_url.url) == "string" then
      tokens = tokens + IMAGE
    elseif kind ~= "input_audio" and kind ~= "file" and kind ~= "refusal" then
      return problem(("%s[%d]"):format(at, i - 1), "invalid_value",
        "Invalid value: '%s' in %s[%d].", tostring(kind), at, i - 1)
    end
  end
  return table.concat(texts, "\n"), tokens
end

-- Remembers the calls of an assistant's message; a problem if they are none.
local function read_calls(message, calls, at)
  if type(message.tool_calls) ~= "table" then return nil end
  for i, call in ipairs(message.tool_calls) do
    local f = type(call) == "table" and call["function"]
    if type(call.id) ~= "string" or type(f) ~= "table" or type(f.name) ~= "string"
      or type(f.arguments) ~= "string" then
      local _, wrong = problem(at .. ".tool_calls", "invalid_type", "Invalid type for "
        .. "'%s.tool_calls[%d].function.arguments': expected a string.", at, i - 1)
      return wrong
    end
    calls[call.id] = f.name
  end
end

--- Reads messages into an ask's said, input and result; nil and a problem.
function chat.read_messages(messages)
  local ask, calls, last = { input = 0 }, {}, ""
  for i, message in ipairs(messages) do
    local at = ("messages[%d]"):format(i - 1)
    if type(message) ~= "table" or not roles[message.role] then
      return problem(at .. ".role", "invalid_value", "Invalid value: '%s'. Supported values "
        .. "are: 'system', 'developer', 'user', 'assistant' and 'tool'.",
        tostring(type(message) == "table" and message.role))
    end
    local text, tokens = read_content(message.content, at .. ".content")
    if not text then return nil, tokens end
    ask.input, last, ask.result = ask.input + OVERHEAD + tokens, text, nil
    local wrong = read_calls(message, calls, at)
    if wrong then return nil, wrong end
    if message.role == "user" then ask.said = text end
    if message.role == "tool" then
      local name = calls[message.tool_call_id]
      if not name then
        return problem(at .. ".role", nil, "Invalid parameter: messages with role 'tool' must "
          .. "be a response to a preceeding message with 'tool_calls'.")
      end
      ask.result = { name = name, text = text }
    end
  end
  ask.said = ask.said or last
  return ask
end

--- Reads OpenAI's tools into an ask's; nil and a problem.
function chat.read_tools(body, ask)
  if body.tools == nil then return ask end
  ask.tools = {}
  for i, tool in ipairs(type(body.tools) == "table" and body.tools or {}) do
    local f = type(tool) == "table" and tool.type == "function" and tool["function"]
    if type(f) ~= "table" or type(f.name) ~= "string" then
      return problem(("tools[%d].function"):format(i - 1), "missing_required_parameter",
        "Missing required parameter: 'tools[%d].function'.", i - 1)
    end
    ask.tools[i] = { name = f.name, schema = f.parameters }
  end
  local choice = body.tool_choice
  if choice == "none" then ask.tools = {} end
  if choice == "required" then ask.force = true end
  if type(choice) == "table" and type(choice["function"]) == "table" then
    ask.force = choice["function"].name
  end
  return ask
end

local function read_format(body)
  local format = type(body.response_format) == "table" and body.response_format or {}
  if format.type == "json_object" then return { type = "object" } end
  local schema = format.type == "json_schema" and format.json_schema
  return type(schema) == "table" and schema.schema or nil
end

local function read(shape, body, captures)
  local model = shape.model_in_path and captures[1] or body.model
  if type(model) ~= "string" then return problem(nil, nil, "you must provide a model parameter") end
  if type(body.messages) ~= "table" or #body.messages == 0 then
    return problem("messages", "missing_required_parameter",
      "Missing required parameter: 'messages'.")
  end
  local ask, wrong = chat.read_messages(body.messages)
  if not ask then return nil, wrong end
  ask, wrong = chat.read_tools(body, ask)
  if not ask then return nil, wrong end
  local most = body.max_completion_tokens or body.max_tokens
  if most ~= nil and most ~= json.null and not turn.whole(most) then
    return problem("max_tokens", "invalid_type", "Invalid type for 'max_tokens': expected a "
      .. "positive integer, but got %s instead.", json.encode(most))
  end
  local options = type(body.stream_options) == "table" and body.stream_options or {}
  ask.model, ask.stream, ask.most = model, body.stream == true, turn.whole(most)
  ask.wants_usage, ask.schema = options.include_usage == true, read_format(body)
  ask.stop = type(body.stop) == "string" and { body.stop } or body.stop
  return ask
end

local function usage_of(t)
  return { prompt_tokens = t.input, completion_tokens = t.output,
    total_tokens = t.input + t.output,
    prompt_tokens_details = { cached_tokens = t.cached },
    completion_tokens_details = { reasoning_tokens = t.reasoning } }
end

local function call_of(ask, call, i)
  return { id = ("call_mock%d_%d"):format(ask.seen, i), type = "function",
    ["function"] = { name = call.name, arguments = json.encode(call.arguments) } }
end

local function answer(shape, ask, t)
  local message = { role = "assistant", content = t.text, refusal = json.null }
  for i, call in ipairs(t.calls) do
    message.content, message.tool_calls = json.null, message.tool_calls or {}
    message.tool_calls[i] = call_of(ask, call, i)
  end
  local body = { id = ("chatcmpl-mock%d"):format(ask.seen), object = "chat.completion",
    created = os.time(), model = ask.model, system_fingerprint = "fp_mock",
    choices = { { index = 0, finish_reason = finish[t.reason], logprobs = json.null,
      message = message } }, usage = usage_of(t) }
  if shape.answer then shape.answer(body, t) end
  return body
end

-- The pieces of a tool call: its name first, then its arguments.
local function call_deltas(ask, call, i)
  local whole = call_of(ask, call, i)
  local text = whole["function"].arguments
  local half = #text // 2
  whole.index, whole["function"].arguments = i - 1, ""
  local deltas = { { tool_calls = { whole } } }
  for _, piece in ipairs { text:sub(1, half), text:sub(half + 1) } do
    deltas[#deltas + 1] = { tool_calls = { { index = i - 1,
      ["function"] = { arguments = piece } } } }
  end
  return deltas
end

local function events(shape, ask, t)
  local list = table.move(shape.before or {}, 1, #(shape.before or {}), 1, {})
  local function add(place, choices, usage)
    local chunk = { id = ("chatcmpl-mock%d"):format(ask.seen), object = "chat.completion.chunk",
      created = os.time(), model = ask.model, system_fingerprint = "fp_mock",
      choices = json.array(choices), usage = usage }
    if shape.chunk then shape.chunk(chunk, place, t, ask) end
    list[#list + 1] = "data: " .. json.encode(chunk) .. "\n\n"
  end
  local function say(delta) add("content", { { index = 0, delta = delta,
    finish_reason = json.null } }) end
  add("first", { { index = 0, delta = { role = "assistant", content = "" },
    finish_reason = json.null } })
  local head = #list
  for _, piece in ipairs(turn.pieces(t.text)) do say { content = piece } end
  for i, call in ipairs(t.calls) do
    for _, delta in ipairs(call_deltas(ask, call, i)) do say(delta) end
  end
  local usage = usage_of(t)
  add("last", { { index = 0, delta = {}, finish_reason = finish[t.reason] } },
    shape.usage == "last" and usage or nil)
  if shape.usage == "always" or shape.usage == "asked" and ask.wants_usage then
    add("usage", {}, usage)
  end
  list[#list + 1] = "data: [DONE]\n\n"
  return list, head
end

-- An error after the stream began.
local function broken(shape, ask, t)
  if shape.broken then return shape.broken(ask, t) end
  return "data: " .. json.encode { error = { message = "The server had an error while processing "
    .. "your request. Sorry about that!", type = "server_error", param = json.null,
    code = json.null } } .. "\n\n"
end

--- The route of chat completions in this shape.
function chat.route(shape)
  return { method = "POST", path = shape.path,
    read = function(body, captures) return read(shape, body, captures) end,
    answer = function(ask, t) return answer(shape, ask, t) end,
    events = function(ask, t) return events(shape, ask, t) end,
    broken = function(ask, t) return broken(shape, ask, t) end }
end

return chat
