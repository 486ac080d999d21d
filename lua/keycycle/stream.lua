--- Streams: an iterator over the events of one answer.
---
--- It owns its lease and its transfer from the first content on, and lets go of
--- both at the end, at an error, when closed (`break` closes it) or collected.
local core = require "keycycle.core"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local failure = require "keycycle.failure"
local hook = require "keycycle.hook"
local penalty = require "keycycle.penalty"
local task = require "keycycle.task"
local usage = require "keycycle.usage"

local stream = {}

local json = core.json
local CHARS_A_TOKEN = 4
local ABSENT = { null = "absent" } -- how events are decoded
local DONE = "[DONE]" -- the data that ends the streams of many

local methods = {}
local stream_mt = { __name = "keycycle.stream", __index = methods }

-- The usage that was seen: the provider's figure, or what came, counted. A tool
-- call or reasoning without text counts by its events.
local function usage_of(s)
  if s.usage then return s.usage end
  local run = s.run
  local input = run.input or 0
  local output = math.max(-(-s.seen_bytes // CHARS_A_TOKEN), s.seen_events)
  return { input_tokens = input, output_tokens = output, total_tokens = input + output,
    estimated = true }
end

local function settle(s)
  local lease = s.lease
  if lease.settled then return end
  local used = usage_of(s)
  s.info.usage = used
  usage.settle(lease, used, s.run.adapter.charge)
end

--- Stops the transfer and settles the usage. Never yields; idempotent.
function methods:close()
  if self.closed then return end
  self.call:close()
  settle(self)
  self.closed = true -- not before: what raised for want of memory is done again
end

local function transport_failure(s, code, message)
  return { transport = true, sent = true, status = s.info.status,
    err = { code = code, message = message } }
end

-- nil for the end of the stream, else what is wrong.
local function end_of(s)
  local err = s.call:error()
  if err then return { transport = true, sent = true, err = err, status = s.info.status } end
  if s.finished or not s.event_of then return nil end
  return transport_failure(s, "cut", "the stream ended before its last event")
end

-- What the provider says instead of going on.
local function refusal(s, data)
  local body = classify.shown(s.run.entry.pool, data)
  return { status = s.info.status, headers = s.info.headers, body = body, sent = true,
    message = classify.message(body) or "an error inside the stream" }
end

-- What an event means: a neutral chunk, or nil. A user's protocol may raise; then the
-- rest of the stream is read without it.
local function meaning(s, kind, native)
  if not s.event_of then return native.error ~= nil and { error = true } or nil end
  local ok, chunk = pcall(s.event_of, kind, native, s.state)
  if ok then return type(chunk) == "table" and chunk or nil end
  if chunk == "not enough memory" then error(chunk, 0) end
  local entry = s.run.entry
  hook.tell(s.event_of, ("the protocol of %s"):format(entry.name), tostring(chunk), entry.pool)
  s.event_of = false
  return meaning(s, kind, native)
end

local function note(s, native, chunk)
  s.usage = usage.of(s.run, native, chunk and chunk.usage, true) or s.usage
  if not s.event_of then s.content = true end
  if not chunk then return end
  local text = chunk.text or chunk.reasoning or ""
  s.seen_bytes = s.seen_bytes + #text
  if text ~= "" or chunk.tool_call or chunk.tool_calls then
    s.content = true
    s.seen_events = s.seen_events + (text == "" and 1 or 0)
  end
  s.finished = s.finished or chunk.finish_reason ~= nil or chunk.done == true
end

-- The next event and what it means; nil at the end; nil, nil and a failed result. An
-- event whose reading was cut short, for want of memory, is read again.
local function read(s)
  while true do
    local kind, data = s.kind, s.data
    if not data then
      task.wait(s.call)
      kind, data = s.call:event()
    end
    if not kind then
      if data == "end" then return nil, nil, end_of(s) end
    elseif data == DONE then
      s.finished = true
      return nil
    elseif data ~= "" then
      s.kind, s.data = kind, data
      local native, why = json.decode(data, ABSENT)
      local chunk, failed
      if type(native) ~= "table" then
        why = "an event is not JSON: " .. tostring(why or native)
        failed = transport_failure(s, "garbage", why)
      else
        chunk = meaning(s, kind, native)
        if chunk and chunk.error then failed = refusal(s, data) else note(s, native, chunk) end
      end
      s.kind, s.data = false, false
      if failed then return nil, nil, failed end
      return native, chunk
    end
  end
end

-- What broke the stream off holds for the key as if it had come at once.
local function raise(s, failed)
  local run = s.run
  s:close()
  failed.key_suffix, run.last = s.info.key_suffix, failed
  local verdict
  if not failed.transport then
    verdict = classify.classify(run.adapter, failed, run.entry.pool:now())
    penalty.apply(s.lease, verdict, failed.status, run.entry.config)
  end
  error(failure.error(run, verdict), 0)
end

--- The next chunk, as the provider sent it, and what it means; nil at the end. Raises
--- what breaks the stream off; then, and at the end, it is closed.
---@return table? native
---@return table? chunk neutral; nil: it means nothing to the protocol
function methods.step(s)
  local first = s.buffered[s.taken + 1]
  if first then
    s.buffered[s.taken + 1], s.taken = nil, s.taken + 1
    return first[1], first[2]
  end
  if s.closed then return nil end
  local ok, native, chunk, failed = pcall(read, s)
  if not ok then
    -- A reader that was cancelled never comes back.
    if errors.is(native, errors.CancelledError) then s:close() end
    error(native, 0)
  end
  if failed then raise(s, failed) end
  if not native then s:close() end
  return native, chunk
end

--- The next chunk alone, as `step` gives it: what the stream does when it is called.
function methods:next()
  return (self:step())
end

--- Reads what is left and returns its text.
function methods:text()
  local parts = {}
  while true do
    local native, chunk = self:step()
    if not native then return table.concat(parts) end
    parts[#parts + 1] = chunk and chunk.text
  end
end

stream_mt.__call = methods.next
stream_mt.__close = methods.close
stream_mt.__gc = methods.close
stream_mt.__tostring = function(s)
  return ("stream of %s (%s)"):format(s.run.entry.name, s.closed and "closed" or "open")
end

-- Lua looks for a table that gets a finalizer among all that were made since it was:
-- with a thousand streams that are opened side by side, for longer than all else takes.
local function with_finalizer(s)
  local fresh = {}
  for k, v in pairs(s) do fresh[k] = v end
  return setmetatable(fresh, stream_mt)
end

--- Makes a stream of an answer that has begun. It reads on to the first content,
--- so that what fails before can still go to another key.
---@return table result `ok` with `stream`, which then owns lease and call
function stream.open(run, lease, call)
  local protocol = run.protocol
  local s = { run = run, lease = lease, call = call, buffered = {}, taken = 0, seen_bytes = 0,
    seen_events = 0, closed = false, content = false, finished = false, ended = false,
    kind = false, data = false, usage = false, state = {},
    event_of = protocol and protocol.event or false,
    info = { status = call:status(), headers = call:headers() } }
  while not s.content and not s.ended do
    local native, chunk, failed = read(s)
    if failed then return failed end
    if native then s.buffered[#s.buffered + 1] = { native, chunk } else s.ended = true end
  end
  s = with_finalizer(s)
  if s.ended then s:close() end
  return { ok = true, status = s.info.status, headers = s.info.headers, stream = s }
end

return stream
