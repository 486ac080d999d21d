--- Gemini generateContent. Pure: tables in, tables out.
---
--- What only this dialect understands (a part's thoughtSignature, a call's own id) is
--- kept in `extra.gemini` of the tool call or the response, and goes back with it.
local answer = require "keycycle.protocol.answer"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local gemini = {
  --- No event ends a stream: its body does.
  ends_late = true,
}

local given, whole = answer.given, answer.whole

-- What Google names for calls that another model made: from Gemini 3 on, the first
-- call of a turn without a signature is refused (ai.google.dev, thought signatures).
local FOREIGN_SIGNATURE = "skip_thought_signature_validator"

local function wants_signature(model)
  return model:find "gemini%-" ~= nil and not model:find "gemini%-[12]%D"
end

local function part_of(part)
  if part.type == "text" then return { text = part.text } end
  if part.url then return { fileData = { fileUri = part.url, mimeType = part.media_type } } end
  return { inlineData = { mimeType = part.media_type, data = part.data } }
end

local function call_of(call, first, model)
  local own = answer.table(answer.table(call.extra).gemini)
  local signature = own.thought_signature
  if not signature and first and wants_signature(model) then signature = FOREIGN_SIGNATURE end
  return { functionCall = { id = own.id, name = call.name, args = call.arguments },
    thoughtSignature = signature }
end

-- Results name their function, which is known from the call that they belong to.
local function result_of(message, calls)
  local call = calls[message.tool_call_id] or {}
  local name = call.name or message.name
  if not name then
    neutral.fail("%s.tool_call_id is %q, which no earlier message calls; its name is needed here",
      message.where, message.tool_call_id)
  end
  local own = answer.table(answer.table(call.extra).gemini)
  return { functionResponse = { id = own.id, name = name,
    response = { output = neutral.text_of(message) } } }, call.place or math.huge
end

-- Without ids, results belong to the calls of a turn by their order.
local function add_result(out, results, part, place)
  local last = out[#out]
  if not (last and last.parts[1].functionResponse) then
    last = { role = "user", parts = {} }
    out[#out + 1] = last
  end
  local at = #last.parts
  while at > 0 and results[last.parts[at]] > place do at = at - 1 end
  table.insert(last.parts, at + 1, part)
  results[part] = place
end

local function assistant_of(message, model)
  local parts, text = {}, neutral.text_of(message)
  if text ~= "" then
    local own = answer.table(message.extra.gemini)
    parts[1] = { text = text, thoughtSignature = own.thought_signature }
  end
  for i, call in ipairs(message.calls) do
    parts[#parts + 1] = call_of(call, i == 1, model)
  end
  return parts
end

local function contents_of(messages, model)
  local out, calls, results, made = {}, {}, {}, 0
  for _, message in ipairs(messages) do
    local role, parts = "user", {}
    if message.role == "assistant" then
      role, parts = "model", assistant_of(message, model)
      for _, call in ipairs(message.calls) do
        made = made + 1
        call.place, calls[call.id] = made, call
      end
    elseif message.role == "tool" then
      add_result(out, results, result_of(message, calls))
    elseif message.role == "user" then
      for i, part in ipairs(message.parts) do parts[i] = part_of(part) end
    end
    if #parts > 0 then out[#out + 1] = { role = role, parts = parts } end
  end
  return out
end

local function tools_of(tools)
  if not tools then return nil end
  local out = {}
  for i, tool in ipairs(tools) do
    out[i] = { name = tool.name, description = tool.description,
      parametersJsonSchema = tool.parameters }
  end
  return { { functionDeclarations = out } }
end

local modes = { auto = "AUTO", none = "NONE", required = "ANY" }

local function choice_of(choice)
  if choice == nil then return nil end
  local config = { mode = modes[choice] }
  if type(choice) == "table" then
    config = { mode = "ANY", allowedFunctionNames = { choice.name } }
  end
  return { functionCallingConfig = config }
end

local function config_of(request)
  local format = neutral.response_format(request)
  local config = {
    maxOutputTokens = neutral.count(request, "max_tokens"), stopSequences = neutral.stop(request),
    temperature = neutral.number(request, "temperature"), topP = neutral.number(request, "top_p"),
    seed = neutral.number(request, "seed"),
    responseMimeType = format and "application/json" or nil,
    responseJsonSchema = format and format.schema or nil,
  }
  return next(config) ~= nil and config or nil
end

--- The path of a model's method, as `/models/gemini-2.5-flash:generateContent`.
function gemini.path(model, method)
  if not model:find("/", 1, true) then model = "models/" .. model end
  model = model:gsub("[^%w%-._~/]", function(c) return ("%%%02X"):format(c:byte()) end)
  return "/" .. model .. ":" .. method
end

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral (keycycle.Request)
---@return table `{ path, query, json }`
function gemini.encode(request)
  local model, messages = neutral.model(request), neutral.messages(request)
  local tools, system = neutral.tools(request), neutral.system_text(messages)
  local json = {
    contents = contents_of(messages, model),
    systemInstruction = system and { parts = { { text = system } } } or nil,
    tools = tools_of(tools), toolConfig = choice_of(neutral.tool_choice(request, tools)),
    generationConfig = config_of(request),
  }
  if #json.contents == 0 then neutral.fail "messages has nothing but system messages" end
  return {
    path = gemini.path(model, request.stream and "streamGenerateContent" or "generateContent"),
    query = request.stream and { alt = "sse" } or nil,
    json = neutral.merge(json, request.extra),
  }
end

--- Usage of an answer or an event, else nil. Thoughts are output, which
--- candidatesTokenCount leaves out; prompts of tools are input.
function gemini.usage(body)
  local usage = answer.table(body).usageMetadata
  if type(usage) ~= "table" then return nil end
  local thoughts = whole(usage.thoughtsTokenCount)
  return answer.usage(whole(usage.promptTokenCount) + whole(usage.toolUsePromptTokenCount),
    whole(usage.candidatesTokenCount) + thoughts, whole(usage.totalTokenCount), {
      cached_tokens = answer.first(usage.cachedContentTokenCount),
      reasoning_tokens = answer.first(thoughts),
    })
end

local reasons = { STOP = "stop", MAX_TOKENS = "length" }
for _, name in ipairs { "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT",
  "SPII", "MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION" } do
  reasons[name] = "content_filter"
end

-- The model's own slips, not an end of the text: the call may be made again.
local slips = { MALFORMED_FUNCTION_CALL = true, MALFORMED_RESPONSE = true }

local function blocked(body)
  return given(answer.table(body.promptFeedback).blockReason)
end

-- nil where it does not say that it ends.
local function reason_of(body, candidate, called)
  if blocked(body) then return "content_filter" end
  local native = answer.text(candidate.finishReason)
  if not native then return nil end
  local reason = reasons[native] or "stop" -- STOP is also said of function calls
  return reason == "stop" and called and "tool_calls" or reason
end

local function first_candidate(body)
  return answer.table(answer.table(body.candidates)[1])
end

--- Whether an answer with status 200 is a failure.
function gemini.failure(body)
  body = answer.table(body)
  return given(body.error) or slips[first_candidate(body).finishReason] == true
end

-- Calls of older models have no id: theirs is of the response and the place in it.
local function id_of(body, made, index)
  return answer.text(made.id)
    or ("%s_%d"):format(answer.text(body.responseId) or "call", index)
end

local function own(made, part)
  local kept = { id = answer.text(made.id), thought_signature = answer.text(part.thoughtSignature) }
  return next(kept) ~= nil and { gemini = kept } or nil
end

-- Texts, thoughts, calls and the signature of a text, which is the response's.
local function parts_in(body)
  local texts, thoughts, calls, extra = {}, {}, {}, nil
  for _, part in ipairs(answer.table(answer.table(first_candidate(body).content).parts)) do
    part = answer.table(part)
    if type(part.functionCall) == "table" then
      calls[#calls + 1] = part
    elseif part.thought == true then
      thoughts[#thoughts + 1] = answer.text(part.text)
    else
      texts[#texts + 1] = answer.text(part.text)
      extra = own({}, part) or extra
    end
  end
  return table.concat(texts), answer.text(table.concat(thoughts)), calls, extra
end

--- The neutral response of a native answer. A blocked prompt has no content and ends
--- by "content_filter".
---@return table
function gemini.decode(body)
  local inside = answer.table(body)
  local content, reasoning, parts, extra = parts_in(inside)
  local calls = {}
  for i, part in ipairs(parts) do
    local made = part.functionCall
    answer.keep_call(calls, id_of(inside, made, i), made.name, answer.table(made.args),
      own(made, part))
  end
  return {
    id = answer.text(inside.responseId), model = answer.text(inside.modelVersion),
    content = content, reasoning = reasoning, tool_calls = calls, usage = gemini.usage(inside),
    finish_reason = reason_of(inside, first_candidate(inside), #calls > 0)
      or (#calls > 0 and "tool_calls" or "stop"),
    extra = extra, raw = body,
  }
end

--- What one event of a stream says, or nil. Each is a whole response, with the usage so
--- far; calls come whole.
---@param _ string the event's type, which this dialect does not use
---@param data any the decoded event
---@param state table the stream's, empty at its begin
---@return table? chunk
function gemini.event(_, data, state)
  if type(data) ~= "table" then return nil end
  local chunk = { usage = gemini.usage(data) }
  if gemini.failure(data) or given(answer.table(data[1]).error) then
    chunk.error = true
    return answer.chunk(chunk, data)
  end
  local text, reasoning, parts, extra = parts_in(data)
  chunk.text, chunk.reasoning, chunk.extra = answer.text(text), reasoning, extra
  for _, part in ipairs(parts) do
    local made = part.functionCall
    state.made = (state.made or 0) + 1
    answer.add_call(chunk, { index = state.made, id = id_of(data, made, state.made),
      name = answer.text(made.name), arguments = answer.arguments_text(made.args),
      extra = own(made, part) })
  end
  chunk.finish_reason = reason_of(data, first_candidate(data), (state.made or 0) > 0)
  if chunk.finish_reason then
    chunk.id, chunk.model = answer.text(data.responseId), answer.text(data.modelVersion)
  end
  return answer.chunk(chunk, data)
end

--- Tokens of a native request's input.
function gemini.estimate_input(request)
  return estimate.chat(request, "contents", { "systemInstruction" })
end

--- Tokens to reserve for a native request: the input and the most that may come back.
function gemini.estimate(request)
  request = answer.table(request)
  local config = answer.table(request.generationConfig)
  return gemini.estimate_input(request) + estimate.most(config.maxOutputTokens)
end

return gemini
