--- A model that says what a list has for it, in order, and notes what it was asked: for
--- specs of what stands above models.
local scripted = {}

local methods = {}
local model_mt = { __index = methods }
local stream_mt = {}
stream_mt.__index = stream_mt

--- Each answer is a text, a response, a list of calls `{ name, arguments }`, or a function
--- that gives one of them (and may raise). `model.asked` is a list of { messages, opts }.
function scripted.new(answers)
  return setmetatable({ answers = answers, asked = {} }, model_mt)
end

local function response_of(self, answer)
  if type(answer) == "function" then answer = answer(self) end
  if type(answer) == "string" then answer = { content = answer, finish_reason = "stop" } end
  if answer[1] then
    local calls = {}
    for i, call in ipairs(answer) do
      calls[i] = { id = ("c%d_%d"):format(#self.asked, i), name = call[1], arguments = call[2],
        arguments_text = call.text }
    end
    answer = { content = answer.content or "", tool_calls = calls, finish_reason = "tool_calls" }
  end
  answer.usage = answer.usage or { input_tokens = 2, output_tokens = 1, total_tokens = 3 }
  return answer
end

local function note(self, messages, opts)
  local copy = {}
  for i, message in ipairs(messages) do copy[i] = message end
  self.asked[#self.asked + 1] = { messages = copy, opts = opts }
  local answer = self.answers[#self.asked]
  assert(answer, "the model was asked once too often")
  return response_of(self, answer)
end

function methods:invoke(messages, opts)
  return note(self, messages, opts)
end

--- Streams the words, then the calls.
function methods:invoke_stream(messages, opts)
  local response = note(self, messages, opts)
  local chunks = {}
  for word in response.content:gmatch "%s*%S+" do chunks[#chunks + 1] = { text = word } end
  if response.tool_calls then
    chunks[#chunks + 1] = { tool_calls = response.tool_calls, tool_call = response.tool_calls[1] }
  end
  chunks[#chunks + 1] = { finish_reason = response.finish_reason, breaks = response.breaks }
  local stream = setmetatable({ chunks = chunks, whole = response, at = 0 }, stream_mt)
  self.stream = stream
  return stream, nil, nil, stream
end

function stream_mt:__call()
  if self.closed then return nil end
  self.at = self.at + 1
  local chunk = self.chunks[self.at]
  if not chunk then return self:close() end
  if chunk.breaks then error(chunk.breaks, 0) end
  return chunk.text or "", chunk
end

function stream_mt:response() return self.whole end

function stream_mt:close() self.closed = true end

--- The roles of messages, in a line.
function scripted.roles(messages)
  local roles = {}
  for i, message in ipairs(messages) do roles[i] = message.role end
  return table.concat(roles, " ")
end

return scripted
