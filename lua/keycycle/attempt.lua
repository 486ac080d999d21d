--- ONE attempt: a request with one lease, to its answer or its failure.
---
--- The result is a table: `ok` with status, headers, body, decoded (or stream);
--- else a refusal (status, headers, body, message), or a failure of the
--- transport (`transport`, err, sent). Nothing here decides what comes next.
local core = require "keycycle.core"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local stream = require "keycycle.stream"
local task = require "keycycle.task"

local attempt = {}

local json = core.json
local REQUEST_TIMEOUT = 600 -- seconds, as the provider's own clients
local IDLE_TIMEOUT = 120    -- seconds between two events of a stream

local function escape(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function url_of(run)
  local request, opts = run.request, run.opts
  local url = (opts.base_url or run.entry.base_url) .. (request.path or run.route.path)
  local parts = {}
  for k, v in pairs(request.query or {}) do
    parts[#parts + 1] = escape(tostring(k)) .. "=" .. escape(tostring(v))
  end
  if #parts == 0 then return url end
  table.sort(parts)
  return url .. (url:find("?", 1, true) and "&" or "?") .. table.concat(parts, "&")
end

local function headers_of(run)
  local headers, seen = {}, {}
  local function add(list)
    for name, value in pairs(list or {}) do
      if type(name) == "string" then
        seen[name:lower()] = true
        headers[#headers + 1] = { name, tostring(value) }
      end
    end
  end
  add(run.entry.adapter.headers)
  add(run.entry.config.headers)
  add(run.opts.headers)
  add(run.request.headers)
  if run.request.text and not seen["content-type"] then
    headers[#headers + 1] = { "content-type", "application/json" }
  end
  if not seen.accept then
    headers[#headers + 1] = { "accept",
      run.request.stream and "text/event-stream" or "application/json" }
  end
  return headers
end

local function start(run, lease, left)
  local opts = run.opts
  local call, err = core.call {
    method = run.request.method or run.route.method, url = url_of(run),
    headers = headers_of(run), auth = run.entry.adapter.auth, body = run.request.text,
    stream = run.request.stream, lease = lease,
    allow_insecure = run.entry.config.allow_insecure,
    request_timeout = opts.request_timeout or REQUEST_TIMEOUT,
    idle_timeout = opts.idle_timeout or IDLE_TIMEOUT, deadline_timeout = left,
  }
  if not call then
    lease:cancel()
    error(errors.from_core(err, { provider = run.entry.name }), 0)
  end
  return call
end

local function shown(run, body)
  return classify.shown(run.entry.pool, body)
end

local function garbage(run, call, body, message)
  return {
    transport = true, sent = true, status = call:status(), body = shown(run, body),
    err = { code = "garbage", message = message },
  }
end

-- An answer that is not events.
local function plain(run, call)
  local status, headers, body, why = call:status(), call:headers(), call:body()
  if not body then error(errors.from_core(why, { provider = run.entry.name }), 0) end
  if status >= 300 then
    local text = shown(run, body)
    return { status = status, headers = headers, body = text, sent = true,
      message = classify.message(text) }
  end
  if run.request.raw then
    return { ok = true, status = status, headers = headers, body = body, decoded = body }
  end
  if not body:find "%S" then return garbage(run, call, body, "the answer is empty") end
  local decoded
  decoded, why = json.decode(body, { null = "absent" })
  if type(decoded) ~= "table" then
    why = "the answer is not a JSON object: " .. (why or "a single value")
    return garbage(run, call, body, why)
  end
  if decoded.error then
    local text = shown(run, body)
    return { status = status, headers = headers, body = text, sent = true,
      message = classify.message(text) or "an error inside a successful answer" }
  end
  return { ok = true, status = status, headers = headers, body = body, decoded = decoded }
end

--- Makes the attempt.
---@param run table the state of the call
---@param lease userdata stays the caller's, but for a stream, which takes it
---@param left? number seconds until the call's deadline
---@return table result
function attempt.run(run, lease, left)
  local call = start(run, lease, left)
  local guard <close> = setmetatable({}, { __close = function(g)
    if not g.keep then call:close() end
  end })
  task.wait(call)
  if call:is_events() then
    local result = stream.open(run, lease, call)
    guard.keep = result.ok
    return result
  end
  local err = call:error()
  if err then
    return { transport = true, sent = call:sent(), err = err, status = call:status() }
  end
  return plain(run, call)
end

return attempt
