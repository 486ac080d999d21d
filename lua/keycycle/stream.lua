--- Streams: an iterator over the events of one answer.
---
--- It owns its lease and its transfer from the first content on, and lets go of
--- both at the end, at an error, when closed (`break` closes it) or collected.
local core = require "keycycle.core"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local task = require "keycycle.task"
local usage = require "keycycle.usage"

local stream = {}

local json = core.json
local CHARS_A_TOKEN = 4

local methods = {}
local stream_mt = { __name = "keycycle.stream", __index = methods }

-- The usage that was seen: the provider's figure, or what came, counted. A tool
-- call or reasoning without text counts by its events.
local function usage_of(s)
  if s.usage then return s.usage end
  local run = s.run
  local input = run.protocol and run.protocol.estimate_input(run.request.json or {}) or 0
  local output = math.max(-(-s.seen_bytes // CHARS_A_TOKEN), s.seen_events)
  return { input_tokens = input, output_tokens = output, total_tokens = input + output,
    estimated = true }
end

local function settle(s)
  local lease = s.lease
  if lease.settled then return end
  local used = usage_of(s)
  s.info.usage = used
  usage.settle(lease, used)
end

--- Stops the transfer and settles the usage. Never yields; idempotent.
function methods:close()
  if self.closed then return end
  self.call:close()
  settle(self)
  self.closed = true -- not before: what raised for want of memory is done again
end

-- nil for the end of the stream, else what is wrong.
local function end_of(s)
  local err = s.call:error()
  if err then return { transport = true, sent = true, err = err, status = s.info.status } end
  if s.finished or not s.run.protocol then return nil end
  return { transport = true, sent = true, status = s.info.status,
    err = { code = "cut", message = "the stream ended before its last event" } }
end

local function failure_in(s, chunk, data)
  if type(chunk) ~= "table" then
    return { transport = true, sent = true, status = s.info.status,
      err = { code = "garbage", message = "an event is not JSON: " .. tostring(chunk) } }
  end
  if not chunk.error then return nil end
  local body = classify.shown(s.run.entry.pool, data)
  return { status = s.info.status, headers = s.info.headers, body = body, sent = true,
    message = classify.message(body) or "an error inside the stream" }
end

local function note(s, chunk)
  s.usage = usage.of(s.run, chunk) or s.usage
  if not (s.run.protocol and s.run.protocol.chunk) then
    s.content = true
    return
  end
  local text, content, finished = s.run.protocol.chunk(chunk)
  s.seen_bytes = s.seen_bytes + #text
  if content then
    s.content = true
    s.seen_events = s.seen_events + (text == "" and 1 or 0)
  end
  s.finished = s.finished or finished
end

-- The next chunk; nil at the end; nil and a failed result. An event whose reading
-- was cut short, for want of memory, is read again.
local function read(s)
  while true do
    local kind, data = s.event, s.event
    if not kind then
      task.wait(s.call)
      kind, data = s.call:event()
    end
    if not kind then
      if data == "end" then return nil, end_of(s) end
    elseif s.run.protocol and data == s.run.protocol.done then
      s.finished = true
      return nil
    elseif data ~= "" then
      s.event = data
      local chunk, why = json.decode(data, { null = "absent" })
      local failed = failure_in(s, chunk or why, data)
      if not failed then note(s, chunk) end
      s.event = false
      if failed then return nil, failed end
      return chunk
    end
  end
end

local function raise(s, failed)
  local run = s.run
  s:close()
  local fields = { provider = run.entry.name, model = run.model, status = failed.status,
    body = failed.body, attempts = run.attempts, key_suffix = s.info.key_suffix }
  if failed.transport then error(errors.from_core(failed.err, fields), 0) end
  local verdict = classify.classify(run.entry.adapter, failed)
  fields.code, fields.message = verdict.kind, failed.message
  fields.retry_after = classify.cooling(verdict)
  local limited = classify.is_limit(verdict, failed.status)
  if limited then fields.code = "rate_limited" end
  errors.raise(limited and errors.RateLimitError or errors.APIError, fields)
end

--- The next chunk, as the provider sent it; nil at the end. Raises what breaks
--- the stream off; then, and at the end, it is closed.
function methods:next()
  if #self.buffered > 0 then return table.remove(self.buffered, 1) end
  if self.closed then return nil end
  local chunk, failed = read(self)
  if failed then raise(self, failed) end
  if not chunk then self:close() end
  return chunk
end

--- Reads what is left and returns its text.
function methods:text()
  local parts = {}
  for chunk in self do
    local text = self.run.protocol and self.run.protocol.chunk(chunk) or ""
    parts[#parts + 1] = text
  end
  return table.concat(parts)
end

stream_mt.__call = methods.next
stream_mt.__close = methods.close
stream_mt.__gc = methods.close
stream_mt.__tostring = function(s)
  return ("stream of %s (%s)"):format(s.run.entry.name, s.closed and "closed" or "open")
end

--- Makes a stream of an answer that has begun. It reads on to the first content,
--- so that what fails before can still go to another key.
---@return table result `ok` with `stream`, which then owns lease and call
function stream.open(run, lease, call)
  local s = { run = run, lease = lease, call = call, buffered = {}, seen_bytes = 0,
    seen_events = 0, closed = false, content = false, finished = false, ended = false,
    event = false, usage = false, info = { status = call:status(), headers = call:headers() } }
  while not s.content and not s.ended do
    local chunk, failed = read(s)
    if failed then return failed end
    if chunk then s.buffered[#s.buffered + 1] = chunk else s.ended = true end
  end
  setmetatable(s, stream_mt)
  if s.ended then s:close() end
  return { ok = true, status = s.info.status, headers = s.info.headers, stream = s }
end

return stream
