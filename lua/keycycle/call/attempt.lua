--- ONE attempt: a request with one lease, to its answer or its failure.
---
--- The result is a table: `ok` with status, headers, body, decoded (or stream);
--- else a refusal (status, headers, body, message), or a failure of the
--- transport (`transport`, err, sent). Nothing here decides what comes next.
local address = require "keycycle.call.address"
local ascii = require "keycycle.ascii"
local core = require "keycycle.core"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local provider = require "keycycle.provider"
local stream = require "keycycle.call.stream"
local task = require "keycycle.task"
local template = require "keycycle.call.template"

local attempt = {}

local json = core.json
local NOTHING = {}
local ABSENT = { null = "absent" } -- how an answer is decoded
local ACCEPT_JSON = { "accept", "application/json" } -- what many lists of headers hold
local ACCEPT_EVENTS = { "accept", "text/event-stream" }
local REQUEST_TIMEOUT = 600 -- seconds, as the provider's own clients
local IDLE_TIMEOUT = 120    -- seconds between two events of a stream

local function raise_missing(run, lease, name)
  local prefix = provider.env_prefix(run.adapter)
  local index = lease.index
  lease:cancel()
  errors.raise(errors.InvalidConfigurationError, {
    code = "invalid", provider = run.entry.name,
    message = ("key %d has no parameter %s, which the request needs: give it with the key, or set "
      .. "%s_%s_%d"):format(index, name, prefix, ascii.upper(name), index),
  })
end

-- A model's name, say, must not lead to another path of the provider's.
local function raise_dots(run, lease)
  lease:cancel()
  errors.raise(errors.KeycycleError, { code = "bad_request", provider = run.entry.name,
    message = "a value in the path holds . or .. as a step" })
end

-- What templates are filled from: the request's own fields, the key's parameters,
-- the provider's defaults, the model.
local function values_of(run)
  local params, fields = run.params, run.request.fields
  return function(name)
    if fields and fields[name] ~= nil then return fields[name] end
    local value = params[name]
    if value == nil then value = (run.adapter.params or NOTHING)[name] end -- its default
    if value == nil and name == "model" and run.model ~= "" then value = run.model end
    return value
  end
end

-- The query as a text; nil where there is none.
local function query_of(run, lease, value_of)
  local query = run.request.query
  if not query or next(query) == nil then return nil end
  local parts = {}
  for k, v in pairs(query) do
    local text, missing = template.text(ascii.text(v), value_of)
    if missing then raise_missing(run, lease, missing) end
    parts[#parts + 1] = template.escape(tostring(k)) .. "=" .. template.escape(text)
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

local function url_of(run, lease, value_of)
  local base, missing = template.base(run.base_url, value_of)
  if missing then raise_missing(run, lease, missing) end
  local path
  path, missing = template.path(run.request.path, value_of)
  if missing then raise_missing(run, lease, missing) end
  if path ~= run.request.path and address.has_dots(path) then raise_dots(run, lease) end
  local query, url = query_of(run, lease, value_of), base .. path
  return query and url .. (url:find("?", 1, true) and "&" or "?") .. query or url
end

-- An adapter's header whose parameter a key lacks is left out.
local function add_adapter_headers(list, headers, value_of)
  if not headers then return end
  for name, value in pairs(headers) do
    local text, missing = template.text(ascii.text(value), value_of)
    if not missing then list[#list + 1] = { name, text } end
  end
end

local function add(list, headers)
  if not headers then return end
  for name, value in pairs(headers) do
    if type(name) == "string" then list[#list + 1] = { name, ascii.text(value) } end
  end
end

local function has(list, wanted)
  for _, header in ipairs(list) do
    if ascii.lower(header[1]) == wanted then return true end
  end
  return false
end

local function headers_of(run, content_type, value_of)
  local list = {}
  add_adapter_headers(list, run.adapter.headers, value_of)
  add(list, run.entry.config.headers)
  add(list, run.opts.headers)
  add(list, run.request.headers)
  if content_type and not has(list, "content-type") then
    list[#list + 1] = { "content-type", content_type }
  end
  if not has(list, "accept") then
    list[#list + 1] = run.request.stream and ACCEPT_EVENTS or ACCEPT_JSON
  end
  return list
end

local function body_of(run, lease, value_of)
  local request = run.request
  if not request.render then return request.text, request.content_type end
  local text, kind = request.render(value_of)
  if not text then raise_missing(run, lease, kind) end
  return text, kind
end

local function start(run, lease, left)
  local opts, value_of = run.opts, values_of(run)
  local url = url_of(run, lease, value_of)
  local body, content_type = body_of(run, lease, value_of)
  local call, err = core.call {
    method = run.request.method, url = url,
    headers = headers_of(run, content_type, value_of), auth = run.adapter.auth, body = body,
    stream = run.request.stream, lines = run.request.lines, lease = lease,
    transport = run.entry.transport, allow_insecure = run.entry.config.allow_insecure,
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

-- An error inside a successful answer.
local function is_failure(run, decoded)
  local failure = run.protocol and run.protocol.failure
  if failure then return failure(decoded) end
  return decoded.error ~= nil
end

-- Speech, a transcript as text, a file: what is no JSON and need not be.
local function is_bytes(run, headers)
  local protocol = run.protocol
  if protocol and protocol.event and not protocol.plain then return false end
  local kind = headers["content-type"] or ""
  if kind == "application/json" then return false end -- as it is nearly always
  kind = ascii.lower(kind)
  if protocol and kind:find "html" then return false end -- a proxy's page
  return kind ~= "" and not kind:find "[/+]json"
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
  if is_bytes(run, headers) then
    return { ok = true, status = status, headers = headers, body = body, decoded = body }
  end
  if not body:find "%S" then return garbage(run, call, body, "the answer is empty") end
  local decoded
  decoded, why = json.decode(body, ABSENT)
  if type(decoded) ~= "table" then
    why = "the answer is not a JSON object: " .. (why or "a single value")
    return garbage(run, call, body, why)
  end
  if is_failure(run, decoded) then
    local text = shown(run, body)
    return { status = status, headers = headers, body = text, sent = true,
      message = classify.message(text) or "an error inside a successful answer" }
  end
  return { ok = true, status = status, headers = headers, body = body, decoded = decoded }
end

-- libcurl sends a request again by itself where a kept connection turns out to be dead;
-- the provider may have counted it twice.
local function sends_of(run, call)
  local sends = call:sends()
  if sends < 2 then return nil end
  log.info("%s: a kept connection was dead: the request went out %d times", run.entry.name, sends)
  return sends
end

-- An attempt that ends early, cancelled say, gives its lease back if nothing was sent.
local guard_mt = {
  __close = function(guard)
    if guard.keep then return end
    local call, lease = guard.call, guard.lease
    local sent = call:sent()
    call:close()
    if not sent and not lease.settled then lease:cancel() end
  end,
}

--- Makes the attempt.
---@param run table the state of the call
---@param lease userdata stays the caller's, but for a stream, which takes it
---@param left? number seconds until the call's deadline
---@return table result with `sends`, where the request went out more than once
function attempt.run(run, lease, left)
  local call = start(run, lease, left)
  local guard <close> = setmetatable({ call = call, lease = lease, keep = false }, guard_mt)
  task.wait(call)
  local sends, err = sends_of(run, call), call:error()
  local result
  if call:is_events() then
    result = stream.open(run, lease, call)
    guard.keep = result.ok
  elseif err then
    result = { transport = true, sent = call:sent(), err = err, status = call:status() }
  else
    result = plain(run, call)
  end
  result.sends = sends
  return result
end

return attempt
