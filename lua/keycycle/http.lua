--- Plain HTTP over the library's transport and loop: blocks, or yields in a task.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local task = require "keycycle.task"

local http = {}

--- Makes one request; any status is an answer.
---@param spec table url, method ("GET", or "POST" with a body), headers (by name),
--- body, timeout (seconds, 60)
---@return table `{ status, headers, body }`; headers have lower-case names
function http.request(spec)
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
