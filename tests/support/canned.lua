--- A server for specs, run by the host: keycycle tests/support/canned.lua ANSWERS.lua
---
--- ANSWERS.lua returns function(request) -> status, headers, body, go. The request has
--- method, path, query, body, headers (those of `noted`), key (the last word of what came in
--- a header of a key) and n (the how many-th it is). A body that is a list goes out piece by
--- piece; a piece `false` waits for GET /release, or for an answer with `go`. GET /journal
--- is a list of all requests.
local json = require "keycycle".json

local noted = { "authorization", "x-nimbus-token", "x-api-key", "x-client", "host", "content-type",
  "content-length" }

local answer = assert(loadfile(arg[1]))()
local server <close> = assert(require("keycycle.server").open { port = 0 })
local journal, waiting = json.array {}, {}

local function note(request)
  local seen = { method = request:method(), path = request:path(), query = request:query(),
    body = request:body(), n = #journal + 1, headers = {} }
  for _, name in ipairs(noted) do seen.headers[name] = request:header(name) end
  local key = seen.headers.authorization or seen.headers["x-nimbus-token"] or ""
  seen.key = key:match "%S+$"
  journal[#journal + 1] = seen
  return seen
end

-- Sends the pieces from the i-th on, up to one that waits.
local function send(request, pieces, i)
  while pieces[i] do
    request:chunk(pieces[i])
    i = i + 1
  end
  if pieces[i] == false then
    waiting[#waiting + 1] = function() send(request, pieces, i + 1) end
  else
    request:finish()
  end
end

local function release()
  local list = waiting
  waiting = {}
  for _, go in ipairs(list) do go() end
end

local function handle(request)
  local path = request:path()
  if path == "/journal" or path == "/release" then
    if path == "/release" then release() end
    request:reply(200, { ["content-type"] = "application/json" }, json.encode(journal))
    return
  end
  local status, headers, body, go = answer(note(request))
  if go then release() end
  headers["content-type"] = headers["content-type"] or "application/json"
  if type(body) == "table" then
    request:start(status, headers)
    send(request, body, 1)
  else
    request:reply(status, headers, body or "")
  end
end

local pid = io.open("/proc/self/stat"):read "n"
print(("listening on http://127.0.0.1:%d (pid %d)"):format(server:port(), pid))
io.stdout:flush()
server:run(handle)
