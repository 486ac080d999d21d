--- The recorded stream of a session of conform.lua: what the server says to "a b", byte
--- by byte. `recorded(session, request)` -> body, content type.
local keycycle = require "keycycle"
local conform = require "tests.support.conform"

return function(s, request)
  s.form.call(s.client, true)(request):close()
  local seen, headers = s:last(), {}
  for k, v in pairs(seen.headers) do headers[k] = v:gsub("{1}", conform.KEYS[1]) end
  local query = seen.query ~= "" and "?" .. seen.query or ""
  local answer = keycycle.http.request { method = "POST", headers = headers, body = seen.body,
    url = s.server.url .. seen.path .. query }
  return answer.body, answer.headers["content-type"]
end
