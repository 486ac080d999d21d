--- The mock's side of Cohere's chat, version 2: messages in, typed events out. Pure.
local json = require "keycycle.json"
local turn = require "keycycle.mock.turn"

local chat = {}

local OVERHEAD = 4  -- tokens of a message beside its text
local TEMPLATE = 495 -- tokens that the model is given on top and that nobody pays
local roles = { system = true, user = true, assistant = true, tool = true }
local finish = { stop = "COMPLETE", sequence = "STOP_SEQUENCE", length = "MAX_TOKENS",
  tool = "TOOL_CALL", policy = "ERROR" }
-- Fields of a request; another one is refused.
local known = { model = true, messages = true, tools = true, documents = true, stream = true,
  citation_options = true, response_format = true, safety_mode = true, max_tokens = true,
  stop_sequences = true, temperature = true, seed = true, frequency_penalty = true,
  presence_penalty = true, k = true, p = true, logprobs = true, tool_choice = true,
  strict_tools = true, thinking = true, priority = true, raw_prompting = true }

local function problem(fmt, ...)
  return nil, { message = fmt:format(...) }
end

-- The text of a message's content, nil and a problem.
local function text_of(content, at)
  if type(content) == "string" then return content end
  if content == nil or content == json.null then return "" end
  local texts = {}
  for i, part in ipairs(type(content) == "table" and content or {}) do
    local kind = type(part) == "table" and part.type
    if kind == "text" then
      texts[#texts + 1] = tostring(part.text)
    elseif kind == "document" and type(part.document) == "table" then
      local data = part.document.data
      texts[#texts + 1] = type(data) == "table" and json.encode(data) or tostring(data)
    elseif kind ~= "image_url" and kind ~= "thinking" then
      return problem("invalid request: %s.content[%d].type is not valid", at, i - 1)
    end
  end
  return table.concat(texts, "\n")
end

local function read_messages(messages, ask)
  local calls = {}
  for i, message in ipairs(messages) do
    local at = ("messages[%d]"):format(i - 1)
    if type(message) ~= "table" or not roles[message.role] then
      return problem("invalid request: %s.role must be one of system, user, assistant, tool", at)
    end
    local text, wrong = text_of(message.content, at)
    if not text then return nil, wrong end
    ask.result, ask.input = nil, ask.input + OVERHEAD + turn.tokens(text)
    for _, call in ipairs(type(message.tool_calls) == "table" and message.tool_calls or {}) do
      local f = type(call["function"]) == "table" and call["function"] or {}
      if type(f.arguments) ~= "string" then
        return problem("invalid type: parameter %s.tool_calls.function.arguments should be of type "
          .. "string.", at)
      end
      calls[call.id or ""] = f.name
    end
    if message.role == "user" then ask.said = text end
    if message.role == "tool" then
      local name = calls[message.tool_call_id or ""]
      if not name then
        return problem("invalid request: %s: tool call id not found in previous tool calls", at)
      end
      ask.result = { name = name, text = text }
    elseif message.role == "user" and text == "" then
      return problem("invalid request: message must be at least 1 token long or tool results must "
        .. "be specified.")
    end
  end
  return ask
end

local function read_tools(body, ask)
  ask.tools = {}
  for i, tool in ipairs(type(body.tools) == "table" and body.tools or {}) do
    local f = type(tool) == "table" and tool.type == "function" and tool["function"]
    if type(f) ~= "table" or type(f.name) ~= "string" then
      return problem("invalid request: tools[%d].function.name is required", i - 1)
    end
    ask.tools[i] = { name = f.name, schema = f.parameters }
  end
  if body.tool_choice ~= nil and body.tool_choice ~= "REQUIRED" and body.tool_choice ~= "NONE" then
    return problem "invalid request: tool_choice must be one of REQUIRED, NONE"
  end
  if body.tool_choice == "NONE" then ask.tools = {} end
  if body.tool_choice == "REQUIRED" then ask.force = true end
  return ask
end

local function read(body)
  for name in pairs(body) do
    if not known[name] then
      return problem("unknown field: parameter '%s' is not a valid field", name)
    end
  end
  if type(body.model) ~= "string" then return problem "invalid request: model is required" end
  if type(body.messages) ~= "table" or #body.messages == 0 then
    return problem "invalid request: messages must not be empty"
  end
  local ask = { model = body.model, said = "", input = 0, stream = body.stream == true,
    most = turn.whole(body.max_tokens), stop = body.stop_sequences }
  local format = body.response_format
  if type(format) == "table" and format.type == "json_object" then
    ask.schema = format.json_schema or format.schema or { type = "object" }
  end
  local ok, wrong = read_messages(body.messages, ask)
  if not ok then return nil, wrong end
  return read_tools(body, ask)
end

local function calls_of(ask, t)
  local calls = {}
  for i, call in ipairs(t.calls) do
    calls[i] = { id = ("%s_mock%d_%d"):format(call.name, ask.seen, i), type = "function",
      ["function"] = { name = call.name, arguments = json.encode(call.arguments) } }
  end
  return calls
end

-- What is charged is what the caller wrote; the model saw a template, too. The mock
-- meters the model's tokens, as Cohere's limits do.
local function usage_of(t)
  return { billed_units = { input_tokens = t.input - TEMPLATE, output_tokens = t.output },
    tokens = { input_tokens = t.input, output_tokens = t.output }, cached_tokens = t.cached }
end

local function answer(ask, t)
  local message = { role = "assistant" }
  if #t.calls > 0 then
    message.tool_calls, message.tool_plan = calls_of(ask, t), "I will use a tool."
  else
    message.content = { { type = "text", text = t.text } }
  end
  return { id = ("mock-%d"):format(ask.seen), finish_reason = finish[t.reason], message = message,
    usage = usage_of(t) }
end

local function event(kind, data)
  data.type = kind
  return ("event: %s\ndata: %s\n\n"):format(kind, json.encode(data))
end

local function add_calls(list, ask, t)
  list[#list + 1] = event("tool-plan-delta",
    { delta = { message = { tool_plan = "I will use a tool." } } })
  for i, call in ipairs(calls_of(ask, t)) do
    local arguments = call["function"].arguments
    local half = #arguments // 2
    call["function"].arguments = ""
    list[#list + 1] = event("tool-call-start", { index = i - 1,
      delta = { message = { tool_calls = call } } })
    for _, piece in ipairs { arguments:sub(1, half), arguments:sub(half + 1) } do
      list[#list + 1] = event("tool-call-delta", { index = i - 1,
        delta = { message = { tool_calls = { ["function"] = { arguments = piece } } } } })
    end
    list[#list + 1] = event("tool-call-end", { index = i - 1 })
  end
end

local function events(ask, t)
  local list = { event("message-start", { id = ("mock-%d"):format(ask.seen),
    delta = { message = { role = "assistant", content = json.array {}, tool_plan = "",
      tool_calls = json.array {}, citations = json.array {} } } }) }
  if #t.calls > 0 then
    add_calls(list, ask, t)
  else
    list[2] = event("content-start", { index = 0,
      delta = { message = { content = { type = "text", text = "" } } } })
    for _, piece in ipairs(turn.pieces(t.text)) do
      list[#list + 1] = event("content-delta", { index = 0,
        delta = { message = { content = { text = piece } } } })
    end
    list[#list + 1] = event("content-end", { index = 0 })
  end
  list[#list + 1] = event("message-end", { delta = { finish_reason = finish[t.reason],
    usage = usage_of(t) } })
  list[#list + 1] = "data: [DONE]\n\n"
  return list, 2
end

--- The route of chat at a path (a pattern).
function chat.route(path)
  return { method = "POST", path = path, answer = answer, events = events,
    read = function(body)
      local ask, wrong = read(body)
      if ask then ask.input = ask.input + TEMPLATE end
      return ask, wrong
    end,
    broken = function()
      return event("message-end", { delta = { finish_reason = "ERROR",
        error = "the generation was interrupted, please try again" } })
    end }
end

return chat
