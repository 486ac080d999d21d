--- The mock's side of OpenAI's responses: items in, items out, named events. Pure.
local json = require "keycycle.json"
local turn = require "keycycle.mock.turn"

local responses = {}

local OVERHEAD = 4 -- tokens of an item beside its text
local roles = { user = true, assistant = true, system = true, developer = true }

local function problem(param, code, fmt, ...)
  return nil, { message = fmt:format(...), param = param, code = code }
end

local function text_of(content)
  if type(content) == "string" then return content end
  local texts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) ~= "table" then return nil end
    if part.type == "input_text" or part.type == "output_text" then
      texts[#texts + 1] = tostring(part.text)
    elseif part.type ~= "input_image" and part.type ~= "input_file" and part.type ~= "refusal" then
      return nil
    end
  end
  return table.concat(texts, "\n")
end

-- Reads one item; a problem if it is none.
local function read_item(item, i, ask, calls)
  local at = ("input[%d]"):format(i - 1)
  local kind = type(item) == "table" and (item.type or item.role and "message")
  if kind == "message" and roles[item.role] then
    local text = text_of(item.content)
    if not text then
      return problem(at .. ".content", "invalid_value", "Invalid value in '%s.content'.", at)
    end
    ask.result, ask.input = nil, ask.input + OVERHEAD + turn.tokens(text)
    if item.role == "user" then ask.said = text end
  elseif kind == "function_call" and type(item.arguments) == "string" then
    calls[item.call_id or ""] = item.name
  elseif kind == "function_call_output" then
    local name, text = calls[item.call_id or ""], text_of(item.output) or ""
    if not name then
      return problem("input", nil, "No tool call found for function call output with call_id %s.",
        tostring(item.call_id))
    end
    ask.result, ask.input = { name = name, text = text }, ask.input + OVERHEAD + turn.tokens(text)
  elseif kind ~= "reasoning" then
    return problem(at, "invalid_value", "Invalid value: '%s'.", tostring(kind))
  end
  return true
end

local function read_tools(body, ask)
  if body.tools == nil then return ask end
  ask.tools = {}
  for i, tool in ipairs(type(body.tools) == "table" and body.tools or {}) do
    if type(tool) ~= "table" or tool.type == "function" and type(tool.name) ~= "string" then
      return problem(("tools[%d].name"):format(i - 1), "missing_required_parameter",
        "Missing required parameter: 'tools[%d].name'.", i - 1)
    end
    if tool.type == "function" then
      ask.tools[#ask.tools + 1] = { name = tool.name, schema = tool.parameters }
    end
  end
  local choice = body.tool_choice
  if choice == "none" then ask.tools = {} end
  if choice == "required" then ask.force = true end
  if type(choice) == "table" then ask.force = choice.name end
  return ask
end

local function read(body)
  if type(body.model) ~= "string" then
    return problem("model", "missing_required_parameter", "Missing required parameter: 'model'.")
  end
  if body.messages ~= nil then
    return problem(nil, "unsupported_parameter", "Unsupported parameter: 'messages'. In the "
      .. "Responses API, this parameter has moved to 'input'.")
  end
  local items = type(body.input) == "string" and { { role = "user", content = body.input } }
    or body.input
  if type(items) ~= "table" or #items == 0 then
    return problem("input", "missing_required_parameter", "Missing required parameter: 'input'.")
  end
  local ask, calls = { input = 0, said = "", model = body.model }, {}
  if type(body.instructions) == "string" then
    ask.input = OVERHEAD + turn.tokens(body.instructions)
  end
  for i, item in ipairs(items) do
    local ok, wrong = read_item(item, i, ask, calls)
    if not ok then return nil, wrong end
  end
  local format = type(body.text) == "table" and type(body.text.format) == "table"
    and body.text.format or {}
  ask.stream, ask.most = body.stream == true, turn.whole(body.max_output_tokens)
  ask.schema = format.type == "json_schema" and format.schema
    or format.type == "json_object" and { type = "object" } or nil
  return read_tools(body, ask)
end

-- The items of the answer.
local function output_of(ask, t)
  local items = {}
  for i, call in ipairs(t.calls) do
    items[i] = { type = "function_call", id = ("fc_mock%d_%d"):format(ask.seen, i),
      call_id = ("call_mock%d_%d"):format(ask.seen, i), name = call.name,
      arguments = json.encode(call.arguments), status = "completed" }
  end
  if #items > 0 then return items end
  return { { type = "message", id = ("msg_mock%d"):format(ask.seen), role = "assistant",
    status = t.reason == "length" and "incomplete" or "completed",
    content = { { type = "output_text", text = t.text, annotations = json.array {} } } } }
end

local function answer(ask, t)
  local cut = t.reason == "length"
  return { id = ("resp_mock%d"):format(ask.seen), object = "response", created_at = os.time(),
    model = ask.model, status = cut and "incomplete" or "completed", error = json.null,
    incomplete_details = cut and { reason = "max_output_tokens" } or json.null,
    output = output_of(ask, t),
    usage = { input_tokens = t.input, output_tokens = t.output,
      total_tokens = t.input + t.output, input_tokens_details = { cached_tokens = t.cached },
      output_tokens_details = { reasoning_tokens = t.reasoning } } }
end

-- Adds the events of one item of the answer, between its `added` and its `done`.
local function add_item(add, index, item, t)
  local place = { item_id = item.id, output_index = index - 1 }
  local function with(more)
    for k, v in pairs(place) do more[k] = v end
    return more
  end
  if item.type == "function_call" then
    local half = #item.arguments // 2
    add("response.function_call_arguments.delta", with { delta = item.arguments:sub(1, half) })
    add("response.function_call_arguments.delta", with { delta = item.arguments:sub(half + 1) })
    add("response.function_call_arguments.done", with { arguments = item.arguments })
    return
  end
  place.content_index = 0
  add("response.content_part.added", with { part = { type = "output_text", text = "",
    annotations = json.array {} } })
  for _, piece in ipairs(turn.pieces(t.text)) do
    add("response.output_text.delta", with { delta = piece })
  end
  add("response.output_text.done", with { text = t.text })
  add("response.content_part.done", with { part = item.content[1] })
end

local function as_event(kind, data)
  data.type = kind
  return ("event: %s\ndata: %s\n\n"):format(kind, json.encode(data))
end

local function events(ask, t)
  local list, number, whole = {}, 0, answer(ask, t)
  local function add(kind, data)
    data.sequence_number, number = number, number + 1
    list[#list + 1] = as_event(kind, data)
  end
  local open = answer(ask, t)
  open.status, open.output, open.usage = "in_progress", json.array {}, json.null
  open.incomplete_details = json.null
  add("response.created", { response = open })
  add("response.in_progress", { response = open })
  local head
  for i, item in ipairs(whole.output) do
    local begun = {}
    for k, v in pairs(item) do begun[k] = v end
    begun.status = "in_progress"
    begun[item.type == "message" and "content" or "arguments"] =
      item.type == "message" and json.array {} or ""
    add("response.output_item.added", { output_index = i - 1, item = begun })
    head = head or #list + (item.type == "message" and 1 or 0)
    add_item(add, i, item, t)
    add("response.output_item.done", { output_index = i - 1, item = item })
  end
  add("response." .. whole.status, { response = whole })
  return list, head
end

-- An error after the stream began.
local function broken()
  return as_event("error", { code = "server_error", param = json.null,
    message = "The server had an error while processing your request. Sorry about that!" })
end

--- The route of responses at a path (a pattern).
function responses.route(path)
  return { method = "POST", path = path, read = read, answer = answer, events = events,
    broken = broken }
end

return responses
