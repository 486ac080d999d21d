--- The mock's side of Gemini's generateContent: contents in, candidates out. Pure.
local json = require "keycycle.json"
local turn = require "keycycle.mock.turn"

local content = {}

local OVERHEAD = 4 -- tokens of a content beside its text
local IMAGE = 258  -- tokens of inline data
local finish = { stop = "STOP", sequence = "STOP", length = "MAX_TOKENS", tool = "STOP" }

local function problem(fmt, ...)
  return nil, { message = fmt:format(...) }
end

-- Google's parser of JSON knows camelCase and snake_case names of a field.
local function field(t, camel)
  local snake = camel:gsub("%u", function(c) return "_" .. c:lower() end)
  if type(t) ~= "table" then return nil end
  if t[camel] ~= nil then return t[camel] end
  return t[snake]
end

local function unknown(name, at)
  return problem('Invalid JSON payload received. Unknown name "%s"%s: Cannot find field.', name,
    at and (" at '%s'"):format(at) or "")
end

local parts_known = { text = true, inlineData = true, inline_data = true, fileData = true,
  file_data = true, functionCall = true, function_call = true, functionResponse = true,
  function_response = true, thought = true, thoughtSignature = true, thought_signature = true }

-- Reads one part; a problem if it is none.
local function read_part(part, at, ask, calls)
  if type(part) ~= "table" then return problem("Invalid value at '%s'", at) end
  for name in pairs(part) do
    if not parts_known[name] then return unknown(name, at) end
  end
  local call, response = field(part, "functionCall"), field(part, "functionResponse")
  if type(part.text) == "string" then
    ask.input = ask.input + turn.tokens(part.text)
    ask.last = part.text
  elseif field(part, "inlineData") or field(part, "fileData") then
    ask.input = ask.input + IMAGE
  elseif call then
    if type(call.args) == "string" then
      return problem("Invalid value at '%s.function_call.args' (type.googleapis.com/"
        .. 'google.protobuf.Struct), "%s"', at, call.args)
    end
    calls[call.name or ""] = true
  elseif response then
    if type(response.response) ~= "table" then
      return problem("Invalid value at '%s.function_response.response'", at)
    elseif not calls[response.name or ""] then
      return problem("Please ensure that function response turn comes immediately after a "
        .. "function call turn.")
    end
    local text = json.encode(response.response)
    ask.result, ask.input = { name = response.name, text = text }, ask.input + turn.tokens(text)
  else
    return problem("%s.data: required oneof field 'data' must have one initialized field", at)
  end
  return true
end

-- Reads contents into an ask's said, input and result.
local function read_contents(contents, ask)
  local calls = {}
  for i, entry in ipairs(contents) do
    local at = ("contents[%d]"):format(i - 1)
    local role = type(entry) == "table" and entry.role
    if role and role ~= "user" and role ~= "model" and role ~= "function" then
      return problem "Please use a valid role: user, model."
    elseif type(entry) ~= "table" or type(entry.parts) ~= "table" or #entry.parts == 0 then
      return problem("* GenerateContentRequest.%s.parts: contents.parts must not be empty.", at)
    end
    ask.result, ask.last, ask.input = nil, nil, ask.input + OVERHEAD
    for j, part in ipairs(entry.parts) do
      local ok, wrong = read_part(part, ("%s.parts[%d]"):format(at, j - 1), ask, calls)
      if not ok then return nil, wrong end
    end
    if role ~= "model" and ask.last then ask.said = ask.last end
  end
  return ask
end

local function read_tools(body, ask)
  ask.tools = {}
  for i, tool in ipairs(type(body.tools) == "table" and body.tools or {}) do
    for j, f in ipairs(field(tool, "functionDeclarations") or {}) do
      if type(f.name) ~= "string" then
        return problem("* GenerateContentRequest.tools[%d].function_declarations[%d].name: Invalid "
          .. "function name.", i - 1, j - 1)
      end
      ask.tools[#ask.tools + 1] = { name = f.name, schema = f.parameters
        or field(f, "parametersJsonSchema") }
    end
  end
  local config = field(field(body, "toolConfig"), "functionCallingConfig") or {}
  if config.mode == "NONE" then ask.tools = {} end
  if config.mode == "ANY" then
    ask.force = (field(config, "allowedFunctionNames") or {})[1] or true
  end
  return ask
end

local request_known = { contents = true, systemInstruction = true, system_instruction = true,
  generationConfig = true, generation_config = true, tools = true, toolConfig = true,
  tool_config = true, safetySettings = true, safety_settings = true, cachedContent = true,
  cached_content = true, model = true, labels = true }

--- Reads what is to be answered or counted.
function content.read_all(body, model)
  for name in pairs(body) do
    if not request_known[name] then return unknown(name) end
  end
  if type(body.contents) ~= "table" or #body.contents == 0 then
    return problem "* GenerateContentRequest.contents: contents is not specified"
  end
  local ask = { model = model, input = 0, said = "" }
  for _, part in ipairs((field(body, "systemInstruction") or {}).parts or {}) do
    ask.input = ask.input + turn.tokens(part.text or "")
  end
  local ok, wrong = read_contents(body.contents, ask)
  if not ok then return nil, wrong end
  local config = field(body, "generationConfig") or {}
  ask.most, ask.stop = turn.whole(field(config, "maxOutputTokens")), field(config, "stopSequences")
  if field(config, "responseMimeType") == "application/json" then
    ask.schema = field(config, "responseSchema") or field(config, "responseJsonSchema")
      or { type = "object" }
  end
  return read_tools(body, ask)
end

-- The piece of an answer with these parts.
local function piece(ask, t, parts, reason, output)
  local thoughts = t.reasoning > 0 and t.reasoning or nil
  local body = { modelVersion = ask.model, responseId = ("mock%d"):format(ask.seen),
    usageMetadata = { promptTokenCount = t.input, candidatesTokenCount = output,
      thoughtsTokenCount = thoughts, totalTokenCount = t.input + output + t.reasoning,
      cachedContentTokenCount = t.cached > 0 and t.cached or nil } }
  if t.reason == "policy" then
    body.promptFeedback = { blockReason = "SAFETY" }
    body.usageMetadata.candidatesTokenCount = nil
    return body
  end
  body.candidates = { { index = 0, finishReason = reason,
    content = { role = "model", parts = parts } } }
  return body
end

local function calls_of(t)
  local parts = {}
  for i, call in ipairs(t.calls) do
    parts[i] = { functionCall = { name = call.name, args = call.arguments } }
  end
  return parts
end

local function answer(ask, t)
  local parts = #t.calls > 0 and calls_of(t) or { { text = t.text } }
  return piece(ask, t, parts, finish[t.reason], t.output - t.reasoning)
end

-- The pieces of a stream; usage so far is in each.
local function pieces(ask, t)
  if t.reason == "policy" or #t.calls > 0 then return { answer(ask, t) } end
  local list, texts, said = {}, turn.pieces(t.text), ""
  for i, text in ipairs(texts) do
    said = said .. text
    list[i] = piece(ask, t, { { text = text } }, i == #texts and finish[t.reason] or nil,
      i == #texts and t.output - t.reasoning or turn.tokens(said))
  end
  return #list > 0 and list or { answer(ask, t) }
end

local function events(ask, t)
  local list = pieces(ask, t)
  for i, body in ipairs(list) do
    list[i] = "data: " .. json.encode(body) .. "\r\n\r\n"
  end
  return list, 0
end

-- Without alt=sse a stream is one array.
local function array(ask, t)
  local list = pieces(ask, t)
  local last = #list
  for i, body in ipairs(list) do
    list[i] = (i == 1 and "[" or ",\r\n") .. json.encode(body) .. (i == last and "]" or "")
  end
  return list, 0
end

--- The routes of generateContent and its streams; `broken` makes the event of an
--- error.
function content.routes(prefix, broken)
  local function read(stream)
    return function(body, captures, visit)
      local ask, wrong = content.read_all(body, captures[1])
      if ask then
        ask.stream = stream
        ask.sse = visit.query.alt == "sse"
      end
      return ask, wrong
    end
  end
  return { method = "POST", path = prefix .. ":generateContent$", read = read(false),
    answer = answer },
    { method = "POST", path = prefix .. ":streamGenerateContent$", read = read(true),
      answer = answer, broken = broken,
      events = function(ask, t) return (ask.sse and events or array)(ask, t) end,
      stream_type = function(ask) return ask.sse and "text/event-stream" or "application/json" end }
end

return content
