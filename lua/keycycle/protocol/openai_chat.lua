--- OpenAI chat completions: what a call costs, what it used, when a stream ends.
--- Pure: tables in, tables out.
local openai_chat = {}

local CHARS_A_TOKEN = 4
local MESSAGE_OVERHEAD = 4 -- role and separators, by OpenAI's cookbook

local function text_length(content)
  if type(content) == "string" then return #content end
  if type(content) ~= "table" then return 0 end
  local n = 0
  for _, part in ipairs(content) do
    if type(part) == "table" and type(part.text) == "string" then n = n + #part.text end
  end
  return n
end

--- Tokens of the input, guessed from its length.
function openai_chat.estimate_input(request)
  local tokens = 0
  for _, message in ipairs(type(request.messages) == "table" and request.messages or {}) do
    if type(message) == "table" then
      tokens = tokens + MESSAGE_OVERHEAD + -(-text_length(message.content) // CHARS_A_TOKEN)
    end
  end
  return tokens
end

local function whole(value)
  local n = math.tointeger(value)
  return n and n > 0 and n or 0
end

--- Tokens to reserve: the input and the most that may come back.
function openai_chat.estimate(request)
  local output = whole(request.max_completion_tokens)
  if output == 0 then output = whole(request.max_tokens) end
  return openai_chat.estimate_input(request) + output
end

--- `{ input_tokens, output_tokens, total_tokens, cached_tokens }` of a body or a
--- chunk that has its usage, else nil.
function openai_chat.usage(body)
  local usage = body.usage
  if type(usage) ~= "table" then
    usage = type(body.x_groq) == "table" and body.x_groq.usage -- groq's streams
  end
  if type(usage) ~= "table" then return nil end
  local input, output = whole(usage.prompt_tokens), whole(usage.completion_tokens)
  local total = whole(usage.total_tokens)
  if total == 0 then total = input + output end
  if total == 0 then return nil end
  local details = usage.prompt_tokens_details
  return {
    input_tokens = input, output_tokens = output, total_tokens = total,
    cached_tokens = type(details) == "table" and whole(details.cached_tokens) or nil,
  }
end

--- What one event of a stream says: the chunk, and what it means here.
---@param chunk table the decoded event
---@return string text, boolean content, boolean finished
function openai_chat.chunk(chunk)
  local text, content, finished = "", false, false
  for _, choice in ipairs(type(chunk.choices) == "table" and chunk.choices or {}) do
    local delta = type(choice.delta) == "table" and choice.delta or {}
    if type(delta.content) == "string" and delta.content ~= "" then
      text, content = text .. delta.content, true
    end
    if delta.tool_calls or delta.reasoning_content or delta.reasoning or delta.refusal then
      content = true
    end
    if choice.finish_reason then finished = true end
  end
  return text, content, finished
end

--- The event that ends a stream.
openai_chat.done = "[DONE]"

return openai_chat
