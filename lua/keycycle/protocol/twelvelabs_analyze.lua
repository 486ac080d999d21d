--- TwelveLabs analyze: a text about a video. Pure: tables in, tables out.
---
--- A neutral request's system and user texts make the prompt; which video it is about
--- is said by `extra = { video_id = … }` or `extra = { video = … }`.
local answer = require "keycycle.protocol.answer"
local estimate = require "keycycle.protocol.estimate"
local neutral = require "keycycle.protocol.neutral"

local twelvelabs_analyze = {}

local given, whole = answer.given, answer.whole

local function prompt_of(request)
  local texts = {}
  for _, message in ipairs(neutral.messages(request)) do
    if message.role ~= "system" and message.role ~= "user" then
      neutral.fail("%s: a video is asked once, %s messages have no place", message.where,
        message.role)
    end
    texts[#texts + 1] = neutral.text_of(message)
  end
  return table.concat(texts, "\n\n")
end

local function format_of(request)
  local format = neutral.response_format(request)
  if not format then return nil end
  if not format.schema then neutral.fail "response_format: JSON needs a schema here" end
  return { type = "json_schema", json_schema = format.schema }
end

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral (keycycle.Request); tools raise
---@return table `{ json }`
function twelvelabs_analyze.encode(request)
  if neutral.tools(request) then neutral.fail "tools: this dialect has none" end
  local json = neutral.merge({
    model_name = request.model ~= nil and neutral.model(request) or nil,
    prompt = prompt_of(request), response_format = format_of(request),
    temperature = neutral.number(request, "temperature"),
    max_tokens = neutral.count(request, "max_tokens"),
    stream = request.stream and true or false, -- the server's default is to stream
  }, request.extra)
  if json.video_id == nil and json.video == nil then
    neutral.fail "extra.video_id is missing: it says which video to analyze"
  end
  return { json = json }
end

--- Usage of an answer or of the event that ends a stream, else nil.
function twelvelabs_analyze.usage(body)
  body = answer.table(body)
  local usage = answer.table(body.usage or answer.table(body.metadata).usage)
  return answer.usage(whole(usage.input_tokens), whole(usage.output_tokens))
end

-- A text that was cut short has an `error` too, which only warns.
local function failed(body)
  return given(body.error) and body.finish_reason ~= "length"
end

--- Whether an answer with status 200 is a failure.
function twelvelabs_analyze.failure(body)
  return failed(answer.table(body))
end

local function reason_of(body)
  return body.finish_reason == "length" and "length" or "stop"
end

--- The neutral response of a native answer.
---@return table
function twelvelabs_analyze.decode(body)
  local inside = answer.table(body)
  return { id = answer.text(inside.id), content = answer.text(inside.data) or "", tool_calls = {},
    finish_reason = reason_of(inside), usage = twelvelabs_analyze.usage(inside), raw = body }
end

--- What one event of a stream says, or nil.
---@param kind string the event's type; a line of NDJSON has its own, `event_type`
---@param data any the decoded event
---@param state table the stream's, empty at its begin
---@return table? chunk
function twelvelabs_analyze.event(kind, data, state)
  if type(data) ~= "table" then return nil end
  local is = data.event_type or kind
  if is == "text_generation" then
    return answer.chunk({ text = answer.text(data.text) }, data)
  elseif is == "stream_start" then
    state.id = answer.text(answer.table(data.metadata).generation_id)
    return nil
  elseif failed(data) or is == "error" then
    return answer.chunk({ error = true, usage = twelvelabs_analyze.usage(data) }, data)
  elseif is == "stream_end" then
    return answer.chunk({ done = true, finish_reason = reason_of(data), id = state.id,
      usage = twelvelabs_analyze.usage(data) }, data)
  end
  return nil
end

--- Tokens of a native request's input. What the video costs is not known before.
function twelvelabs_analyze.estimate_input(request)
  request = answer.table(request)
  return estimate.of(request.prompt) + estimate.of(request.response_format)
end

--- Tokens to reserve for a native request: the input and the most that may come back.
function twelvelabs_analyze.estimate(request)
  request = answer.table(request)
  return twelvelabs_analyze.estimate_input(request) + estimate.most(request.max_tokens)
end

return twelvelabs_analyze
