--- What an OpenAI-compatible server answers: bodies, headers, streams. Pure.
---
--- Error bodies and headers as OpenAI's own (recorded answers; see the corpus of
--- real errors in the project's documents).
local json = require "keycycle.json"

local openai = {}

local WORDS = 3     -- words in one event of a stream
local OVERHEAD = 4  -- tokens of a message beside its text

--- Tokens of a text: a quarter of its bytes, rounded up.
function openai.tokens(text)
  return -(-#text // 4)
end

local function text_of(content)
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts, "\n")
end

--- What the last message says, and the tokens of all.
function openai.read_messages(messages)
  local tokens, last = 0, ""
  for _, message in ipairs(messages) do
    if type(message) == "table" then
      last = text_of(message.content)
      tokens = tokens + OVERHEAD + openai.tokens(last)
    end
  end
  return last, tokens
end

--- An error body.
function openai.error(message, kind, code, param)
  return json.encode { error = {
    message = message, type = kind, param = param or json.null, code = code or json.null,
  } }
end

--- The refusal of a key: its ends are shown, as OpenAI does.
function openai.unknown_key(key)
  local shown = #key > 12 and key:sub(1, 8) .. ("*"):rep(#key - 12) .. key:sub(-4) or "****"
  return openai.error(("Incorrect API key provided: %s. You can find your API key at "
    .. "https://platform.openai.com/account/api-keys."):format(shown),
    "invalid_request_error", "invalid_api_key")
end

--- The refusal at a limit.
function openai.limited(model, unit, limit, wait)
  return openai.error(("Rate limit reached for %s in organization org-mock on %s per min (%s): "
    .. "Limit %d. Please try again in %s."):format(model, unit,
    unit == "requests" and "RPM" or "TPM", limit, openai.duration(wait)),
    unit, "rate_limit_exceeded")
end

--- Seconds as a Go duration: `120ms`, `7.66s`, `6m0s`.
function openai.duration(seconds)
  if seconds < 1 then return ("%dms"):format(math.ceil(seconds * 1000)) end
  if seconds < 60 then return (("%.2f"):format(seconds):gsub("%.?0+$", "")) .. "s" end
  return ("%dm%ds"):format(seconds // 60, math.ceil(seconds % 60))
end

--- The rate-limit headers for a key's meter.
function openai.limit_headers(meter)
  local headers = {}
  for _, unit in ipairs { "requests", "tokens" } do
    local limit, remaining, reset = meter:minute(unit)
    if limit then
      headers["x-ratelimit-limit-" .. unit] = tostring(limit)
      headers["x-ratelimit-remaining-" .. unit] = tostring(remaining)
      headers["x-ratelimit-reset-" .. unit] = openai.duration(reset)
    end
  end
  return headers
end

--- The answer's text, cut to `max` tokens, and its finish reason.
function openai.answer(said, max)
  local text = "You said: " .. said
  if max and openai.tokens(text) > max then
    local cut = utf8.offset(text, 0, max * 4 + 1) or max * 4 + 1
    return text:sub(1, cut - 1), "length"
  end
  return text, "stop"
end

local function usage_of(input, output)
  return { prompt_tokens = input, completion_tokens = output, total_tokens = input + output }
end

--- A whole answer.
function openai.completion(id, model, text, reason, input)
  return json.encode {
    id = id, object = "chat.completion", created = os.time(), model = model,
    system_fingerprint = "fp_mock",
    choices = { { index = 0, finish_reason = reason, logprobs = json.null,
      message = { role = "assistant", content = text, refusal = json.null } } },
    usage = usage_of(input, openai.tokens(text)),
  }
end

--- The events of a streamed answer, in order, as they are written.
---@return table list of texts
function openai.events(id, model, text, reason, input, with_usage)
  local events = {}
  local function add(choices, usage)
    local chunk = { id = id, object = "chat.completion.chunk", created = os.time(), model = model,
      system_fingerprint = "fp_mock", choices = json.array(choices), usage = usage }
    events[#events + 1] = "data: " .. json.encode(chunk) .. "\n\n"
  end
  add { { index = 0, delta = { role = "assistant", content = "" }, finish_reason = json.null } }
  local words = {}
  for word in text:gmatch "%s*%S+" do words[#words + 1] = word end
  for i = 1, #words, WORDS do
    local piece = table.concat(words, "", i, math.min(i + WORDS - 1, #words))
    add { { index = 0, delta = { content = piece }, finish_reason = json.null } }
  end
  add { { index = 0, delta = {}, finish_reason = reason } }
  if with_usage then add({}, usage_of(input, openai.tokens(text))) end
  events[#events + 1] = "data: [DONE]\n\n"
  return events
end

--- Embeddings of a list of texts: small vectors that depend on the text alone.
function openai.embeddings(model, inputs)
  local data, tokens = {}, 0
  for i, text in ipairs(inputs) do
    local vector, sum = {}, 0
    for j = 1, #text do sum = (sum * 31 + text:byte(j)) % 1000003 end
    for j = 1, 8 do vector[j] = ((sum * j) % 2000 - 1000) / 1000 end
    data[i] = { object = "embedding", index = i - 1, embedding = vector }
    tokens = tokens + openai.tokens(text)
  end
  return json.encode { object = "list", model = model, data = data,
    usage = { prompt_tokens = tokens, total_tokens = tokens } }, tokens
end

--- The list of models.
function openai.models()
  local data = {}
  for i, id in ipairs { "gpt-4o-mini", "gpt-4o", "text-embedding-3-small" } do
    data[i] = { id = id, object = "model", created = 1700000000, owned_by = "mock" }
  end
  return json.encode { object = "list", data = data }
end

return openai
