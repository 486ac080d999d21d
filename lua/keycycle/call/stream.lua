--- Streams: an iterator over the events of one answer.
---
--- It owns its lease and its transfer from the first content on, and lets go of both at
--- the end, at an error, when it is closed (`break` closes it) or collected, when its task
--- is cancelled and when its wrapper is stopped.
---
--- One that nobody reads pauses its transfer once 256 KiB wait. It holds its key for no
--- longer than that takes: the end of the transfer frees its place among the
--- `concurrent_requests`, and what it reserved is settled when it is read, or by the
--- lease's maximum age. A reader may be slower than that: its stream still ends well.
local core = require "keycycle.core"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local failure = require "keycycle.call.failure"
local hook = require "keycycle.loader.hook"
local penalty = require "keycycle.refusal.penalty"
local task = require "keycycle.task"
local usage = require "keycycle.call.usage"

local stream = {}

local decode = core.json.decode
local NULL_IS_ABSENT = { null = "absent" }
local CHARS_A_TOKEN = 4
local DONE = "[DONE]" -- the data that ends the streams of many
local MOST_BEFORE = 32 -- events to read on to the first content: pings may come for ever
local NONE = {}

local methods = {}
local stream_mt = { __name = "keycycle.stream", __index = methods }

-- The usage that was seen: the provider's last figure, and what came since, counted. A
-- tool call or reasoning without text counts by its events.
local function usage_of(s)
  local told = s.usage
  local since = math.max(-(-s.seen_bytes // CHARS_A_TOKEN), s.seen_events)
  if told and since == 0 then return told end
  local used = { input_tokens = s.run.input or 0 }
  for k, v in pairs(told or NONE) do used[k] = v end
  used.output_tokens = (used.output_tokens or 0) + since
  used.total_tokens = (used.total_tokens or used.input_tokens) + since
  used.estimated = true
  return used
end

local function settle(s)
  local lease = s.lease
  if lease.settled then return end
  local used = usage_of(s)
  s.info.usage = used
  usage.settle(lease, used, s.run.adapter.charge)
end

-- Stops the transfer and settles the usage; what was read ahead stays.
local function finish(s)
  if s.closed then return end
  s.call:close()
  settle(s)
  s.run.entry.streams[s] = nil
  s.closed = true -- not before: what raised for want of memory is done again
end

--- Stops the transfer and settles the usage; nothing more is read. Never yields;
--- idempotent.
function methods:close()
  self.buffered, self.broken = NONE, false
  finish(self)
end

local function transport_failure(s, err)
  return { transport = true, sent = true, status = s.info.status, err = err }
end

-- nil for the end of the stream, else what is wrong. Once the answer has said why it ends
-- it is whole: nothing is lost by what breaks off after that.
local function end_of(s, err)
  if s.finished then return nil end
  err = err or s.call:error()
  if err then return transport_failure(s, err) end
  if not s.event_of then return nil end
  return transport_failure(s, { code = "cut", message = "the stream ended before its last event" })
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
  if not s.run.protocol.own then return s.event_of(kind, native, s.state) end
  local ok, chunk = pcall(s.event_of, kind, native, s.state)
  if ok then return type(chunk) == "table" and chunk or nil end
  if chunk == "not enough memory" then error(chunk, 0) end
  local entry = s.run.entry
  hook.tell(s.event_of, ("the protocol of %s"):format(entry.name), tostring(chunk), entry.pool)
  s.event_of = false
  return meaning(s, kind, native)
end

local function note(s, native, chunk)
  local told = chunk and chunk.usage
  if told or s.extracted or not s.event_of then told = usage.of(s.run, native, told, true) end
  -- From here on nothing raises: an event that is read again is not counted twice.
  local text = chunk and (chunk.text or chunk.reasoning) or ""
  local called = chunk and (chunk.tool_call or chunk.tool_calls) ~= nil
  s.content = s.content or text ~= "" or called or not s.event_of
  if told then
    s.usage, s.seen_bytes, s.seen_events = told, 0, 0
  elseif text ~= "" then
    s.seen_bytes = s.seen_bytes + #text
  elseif called then
    s.seen_events = s.seen_events + 1
  end
  if not chunk then return end
  s.done = s.done or chunk.done == true
  s.finished = s.finished or s.done or chunk.finish_reason ~= nil
end

local function raise_broken(s)
  local err = s.broken
  s.broken = false
  error(err, 0)
end

-- Waits for the next event. A cancelled task reads no more: its stream ends.
local function await(s)
  local ok, err = pcall(task.wait, s.call)
  if ok then return end
  if s.owns and errors.is(err, errors.CancelledError) then finish(s) end
  error(err, 0)
end

-- Type and data of the next event; nil at the end.
local function take(s)
  task.pause()
  while true do
    local kind, data = s.call:event()
    if kind then return kind, data end
    if data == "end" then return nil end
    await(s)
  end
end

-- The next event and what it means; nil at the end; nil, nil and a failed result. An
-- event whose reading was cut short, for want of memory, is read again.
local function read(s)
  while true do
    local kind, data = s.kind, s.data
    if not data then
      if s.done then return nil end
      kind, data = take(s)
    end
    if s.broken then raise_broken(s) end
    if not kind then return nil, nil, end_of(s) end
    if data == DONE then
      s.finished, s.done = true, true
      return nil
    elseif data ~= "" then
      s.kind, s.data = kind, data
      local native, why = decode(data, NULL_IS_ABSENT)
      local chunk, failed
      if type(native) ~= "table" then
        why = "an event is not JSON: " .. tostring(why or native)
        failed = end_of(s, { code = "garbage", message = why })
        native = nil
      else
        chunk = meaning(s, kind, native)
        if chunk and chunk.error then failed = refusal(s, data) else note(s, native, chunk) end
      end
      if failed then return nil, nil, failed end
      s.kind, s.data = false, false
      return native, chunk
    end
  end
end

-- What broke the stream off holds for the key as if it had come at once.
local function raise(s, failed)
  local run = s.run
  failed.key_suffix, run.last = s.info.key_suffix, failed
  local verdict = failed.transport and failure.of_transport(failed)
    or classify.classify(run.adapter, failed, run.entry.pool:now())
  finish(s)
  if run.tried then run.tried.kind = verdict.kind end
  if not failed.transport then
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
  if s.closed then
    if s.broken then raise_broken(s) end
    return nil
  end
  local native, chunk, failed = read(s)
  if failed then raise(s, failed) end
  if not native then finish(s) end
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
stream_mt.__gc = function(s)
  if s.owns then s:close() end
end
stream_mt.__tostring = function(s)
  return ("stream of %s (%s)"):format(s.run.entry.name, s.closed and "closed" or "open")
end

--- Ends the streams of a wrapper that is being stopped, for good: whoever reads one on
--- has `err` raised, once.
---@param streams table the streams as keys
---@param err table
function stream.stop(streams, err)
  for s in pairs(streams) do
    s.broken = err
    task.wake(s.call:id())
    if s.owns then finish(s) else s.call:close() end
  end
end

--- Makes a stream of an answer that has begun. It reads on to the first content,
--- so that what fails before can still go to another key. Raises where the wrapper was
--- stopped meanwhile.
---@return table result `ok` with `stream`, which then owns lease and call
function stream.open(run, lease, call)
  local protocol = run.protocol
  -- It has its finalizer from the start: later, Lua would look for it among all that was
  -- made since, which with many streams takes longer than all else.
  local s = setmetatable({ run = run, lease = lease, call = call, buffered = {}, taken = 0,
    seen_bytes = 0, seen_events = 0, owns = false, closed = false, content = false,
    finished = false, done = false, kind = false, data = false, usage = false, broken = false,
    state = {}, event_of = protocol and protocol.event or false,
    extracted = usage.is_extracted(run),
    info = { status = call:status(), headers = call:headers() } }, stream_mt)
  if run.entry.closed then run.entry:check_open() end -- it was stopped meanwhile
  run.entry.streams[s] = true
  local ended = false
  while not s.content and not ended and #s.buffered < MOST_BEFORE do
    local native, chunk, failed = read(s)
    if failed then return failed end
    if native then s.buffered[#s.buffered + 1] = { native, chunk } else ended = true end
  end
  s.owns = true
  if ended then finish(s) end
  return { ok = true, status = s.info.status, headers = s.info.headers, stream = s }
end

return stream
