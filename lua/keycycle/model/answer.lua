--- What models answer: neutral responses, and streams of neutral chunks, of the results
--- of calls.
local answer = require "keycycle.protocol.answer"
local classify = require "keycycle.classify"
local collect = require "keycycle.protocol.collect"
local errors = require "keycycle.errors"
local info = require "keycycle.info"
local json = require "keycycle.json"

local model_answer = {}

local fields = { id = "string", model = "string", content = "string", reasoning = "string",
  tool_calls = "table", finish_reason = "string", usage = "table", extra = "table", raw = "any" }

local response_mt = { __name = "keycycle.response" }
function response_mt.__tostring(response) return response.content end

-- A user's protocol did something wrong; what it says may hold what it was given.
local function raise_fault(run, format, ...)
  local entry = run.entry
  local why = classify.shown(entry.pool, format:format(...))
  errors.raise(errors.ScriptError, { code = "script", provider = entry.name, model = run.model,
    message = "the protocol cannot read the answer: " .. why })
end

-- The response that programs get, of what a protocol made: the fields that it has in all
-- dialects, and in lists JSON's mark.
local function as_response(run, given, usage)
  local response = {}
  for name in pairs(fields) do response[name] = given[name] end
  response.content = response.content or ""
  response.model = response.model or run.opts.model
  response.tool_calls = json.array(response.tool_calls or {})
  response.usage = usage or response.usage
  return setmetatable(response, response_mt)
end

local function decode(run, body)
  local ok, given = pcall(run.protocol.decode, body)
  if given == "not enough memory" then error(given, 0) end
  if not ok then raise_fault(run, "%s", tostring(given)) end
  if type(given) ~= "table" then raise_fault(run, "decode gave a %s, not a table", type(given)) end
  for name, want in pairs(fields) do
    local value = given[name]
    if want ~= "any" and value ~= nil and type(value) ~= want then
      raise_fault(run, "decode gave %s = a %s, not a %s", name, type(value), want)
    end
  end
  return given
end

-- The response of an answer that came whole.
local function whole_response(run, result)
  local response = as_response(run, decode(run, result.decoded), result.usage)
  if response.raw == nil then response.raw = result.decoded end
  info.keep(run, result, response)
  return response
end

local methods = {}
local stream_mt = { __name = "keycycle.model stream", __index = methods }

-- A whole response as the one chunk of a stream.
local function chunk_of(response)
  local chunk = { text = answer.text(response.content), reasoning = response.reasoning,
    id = response.id, model = response.model, finish_reason = response.finish_reason,
    usage = response.usage, extra = response.extra, raw = response.raw }
  for i, call in ipairs(response.tool_calls) do
    answer.add_call(chunk, { index = i, id = call.id, name = call.name, extra = call.extra,
      arguments = call.arguments_text or answer.arguments_text(call.arguments) })
  end
  return chunk
end

--- The stream of a result. A server that does not stream has sent all of it: that is
--- one chunk.
---@param run table the state of the call
---@param result table of call.run
function model_answer.stream(run, result)
  local self = setmetatable({ run = run, source = result.stream or false, chunk = false,
    closed = false, about = false, whole = collect.new() }, stream_mt)
  local source = result.stream
  if source then
    result.usage = source.info.usage -- known already where it ended at once
    self.about = info.keep(run, result, self)
    source.info = self.about
  else
    local response = whole_response(run, result)
    self.chunk, self.about = chunk_of(response), info.of(response)
    info.share(self.about, self)
  end
  return self
end

--- The response of a result. Where there are only streams one is read to its end.
---@param run table the state of the call
---@param result table of call.run
function model_answer.response(run, result)
  if not result.stream then return whole_response(run, result) end
  local self <close> = model_answer.stream(run, result)
  self:text()
  return self:response()
end

-- The next event that means something, as a chunk.
local function read(self)
  local source = self.source
  if not source or self.closed then return nil end
  while true do
    local native, chunk = source:step()
    if not native or chunk then return chunk end
    if not source.event_of then
      source:close()
      raise_fault(self.run, "event failed, or there is none: the log tells")
    end
  end
end

--- The next piece: its text, which is "" where it has none, and the neutral chunk; nil
--- at the end. Raises what breaks the stream off.
---@return string? text, table? chunk
function methods:next()
  local chunk = self.chunk or read(self)
  if not chunk then return nil end
  self.chunk = chunk -- what memory was too short to keep comes again
  self.whole:add(chunk)
  self.chunk = false
  return chunk.text or "", chunk
end

--- Reads what is left and returns its text.
---@return string
function methods:text()
  local parts = {}
  for text in self.next, self do parts[#parts + 1] = text end
  return table.concat(parts)
end

--- The response of what was read so far; at the end, the whole.
---@return table neutral
function methods:response()
  local source = self.source
  local usage = source and source.usage or nil
  local response = as_response(self.run, self.whole:response(), usage)
  info.share(self.about, response)
  return response
end

--- Stops the transfer and settles the usage. Never yields; idempotent.
function methods:close()
  if self.source then self.source:close() end
  self.chunk, self.closed = false, true
end

stream_mt.__call = methods.next
stream_mt.__close = methods.close
stream_mt.__tostring = function(self)
  return self.source and tostring(self.source) or "stream of " .. self.run.entry.name
end

return model_answer
