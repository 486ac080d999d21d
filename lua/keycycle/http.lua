--- Plain HTTP over the library's transport and loop: blocks, or yields in a task.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local task = require "keycycle.task"

local http = {}

local fields = { url = "string", method = "string", headers = "table", body = "string",
  timeout = "number" }

local function invalid(fmt, ...)
  errors.raise(errors.KeycycleError, { code = "bad_request", message = fmt:format(...) })
end

local function check(spec)
  if type(spec) ~= "table" then invalid("http.request needs a table, not a %s", type(spec)) end
  for name, value in pairs(spec) do
    local want = fields[name]
    if not want then
      invalid("http.request has no field %q (known: %s)", tostring(name), errors.list(fields))
    end
    if type(value) ~= want then invalid("http.request: %s must be a %s", name, want) end
  end
  if not spec.url then invalid "http.request needs a url" end
  for name, value in pairs(spec.headers or {}) do
    if type(name) ~= "string" or type(value) ~= "string" then
      invalid "http.request: headers are { name = value }, both texts"
    end
  end
end

--- Makes one request; any status is an answer.
---@param spec table url, method ("GET", or "POST" with a body), headers (by name),
--- body, timeout (seconds, 60)
---@return table `{ status, headers, body }`; headers have lower-case names
function http.request(spec)
  check(spec)
  local headers = {}
  for name, value in pairs(spec.headers or {}) do headers[#headers + 1] = { name, value } end
  local call <close>, err = core.call {
    url = spec.url, method = spec.method or (spec.body and "POST" or "GET"),
    headers = headers, body = spec.body, request_timeout = spec.timeout or 60,
  }
  if not call then error(errors.from_core(err), 0) end
  task.wait(call)
  local failed = call:error()
  if failed then error(errors.from_core(failed), 0) end
  return { status = call:status(), headers = call:headers(), body = call:body() }
end

return http
