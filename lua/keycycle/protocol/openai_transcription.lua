--- OpenAI audio transcriptions, which Groq, Mistral and others speak too. Pure.
---
--- Neutral request: `{ model, file = path, language, prompt, temperature, format,
--- stream, extra }`, format `"json"` (the server's default), `"verbose_json"`, `"text"`,
--- `"srt"` or `"vtt"`; neutral response: `{ text, usage, raw }`. The request is a form:
--- `{ form = { { name, value }, …, { name = "file", path } } }`.
local answer = require "keycycle.protocol.answer"
local ascii = require "keycycle.ascii"
local neutral = require "keycycle.protocol.neutral"

local openai_transcription = {
  --- An answer may be a text that is no JSON.
  plain = true,
}

local whole = answer.whole
local formats = { json = true, verbose_json = true, text = true, srt = true, vtt = true }

local function add(form, name, value)
  if value ~= nil then form[#form + 1] = { name = name, value = ascii.text(value) } end
end

-- Fields of the caller's own, in the order of their names; a list is its field repeated.
local function add_extra(form, extra)
  local names = {}
  for name in pairs(neutral.merge({}, extra)) do
    if type(name) ~= "string" then neutral.fail "extra: names of fields are texts" end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = extra[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if type(one) == "table" then neutral.fail("extra.%s cannot stand in a form", name) end
      add(form, name, one)
    end
  end
end

--- The native request for a neutral one. Raises a text that names the field.
---@param request table neutral
---@return table `{ form }`
function openai_transcription.encode(request)
  if type(request.file) ~= "string" or request.file == "" then
    neutral.fail "file must be the path of an audio file"
  end
  if request.format ~= nil and not formats[request.format] then
    neutral.fail("format is %s; it must be json, verbose_json, text, srt or vtt",
      tostring(request.format))
  end
  local form = {}
  add(form, "model", neutral.model(request))
  add(form, "language", request.language)
  add(form, "prompt", request.prompt)
  add(form, "temperature", neutral.number(request, "temperature"))
  add(form, "response_format", request.format)
  add(form, "stream", request.stream and true or nil)
  add_extra(form, request.extra)
  form[#form + 1] = { name = "file", path = request.file }
  return { form = form }
end

--- Usage of an answer or of the event that ends a stream, where it counts tokens; else
--- nil, as for the models that are billed by the seconds.
function openai_transcription.usage(body)
  local usage = answer.table(body).usage
  if type(usage) ~= "table" then return nil end
  -- Mistral's and Groq's names are chat's.
  return answer.usage(answer.first(usage.input_tokens, usage.prompt_tokens) or 0,
    answer.first(usage.output_tokens, usage.completion_tokens) or 0, whole(usage.total_tokens))
end

--- The neutral response of a native answer: a table, or a text for the formats that
--- are none. `seconds` is how long the audio was, where the answer says.
---@param body table|string
---@return table
function openai_transcription.decode(body)
  if type(body) == "string" then return { text = body, raw = body } end
  local inside = answer.table(body)
  return {
    text = answer.text(inside.text) or "", usage = openai_transcription.usage(inside),
    seconds = tonumber(answer.table(inside.usage).seconds) or tonumber(inside.duration), raw = body,
  }
end

--- What one event of a stream says, or nil.
---@param kind string the event's type; the data's own `type` is read where it has none
---@param data any the decoded event
---@return table? chunk
function openai_transcription.event(kind, data)
  if type(data) ~= "table" then return nil end
  local is = data.type or kind
  if is == "error" or answer.given(data.error) then
    return answer.chunk({ error = true }, data)
  elseif is == "transcript.text.delta" then
    return answer.chunk({ text = answer.text(data.delta) }, data)
  elseif is == "transcript.text.done" then
    return answer.chunk({ done = true, finish_reason = "stop",
      usage = openai_transcription.usage(data) }, data)
  end
  return nil
end

--- Tokens to reserve: none, for nothing in the request tells how long the audio is.
function openai_transcription.estimate()
  return 0
end

openai_transcription.estimate_input = openai_transcription.estimate

return openai_transcription
