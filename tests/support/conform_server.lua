--- conform_server.lua: a provider on loopback for the specs of all providers.
---
--- It becomes what POST /become says: the mock of a style, or of a relative of OpenAI's
--- (relatives.lua), anew, on a clock that moves by hand from 1e9 on. In front of it
--- everything that comes is written down as it stood on the wire (GET /seen), keys as
--- "{1}", "{2}", and some requests are answered by faults before the mock sees them. The
--- body of /become is JSON:
---   style, keys, dead, spent   as `keycycle mock` has them
---   faults   list of { key (index, nil: any), after (requests that pass before), times
---            (default: always), and kind, window, wait (an error of the style) or status,
---            headers, body }
local fault = require "keycycle.mock.fault"
local json = require "keycycle.json"
local mock = require "keycycle.mock.provider"
local relatives = require "tests.support.relatives"

local NAMES = { "accept", "anthropic-version", "api-key", "authorization", "content-type", "host",
  "openai-organization", "openai-project", "x-api-key", "x-goog-api-key", "x-hf-bill-to" }

for style, dialect in pairs(relatives) do
  package.preload["keycycle.mock." .. style] = function() return dialect end
end

local server <close> = assert(require("keycycle.server").open { port = 0 })
local options, provider, list, now

local function become(text)
  options, list, now = json.decode(text), json.array {}, 1e9
  provider = mock.new { style = options.style, keys = options.keys, dead = options.dead,
    spent = options.spent, limits = {}, bodies = false, limit_headers = true, latency = 0,
    chunk_delay = 0, server = server, now = function() return now end }
end

-- A text with "{1}" for the first key, and the index of the key that it held.
local function without_keys(text)
  local found
  for i, key in ipairs(options.keys) do
    local first, last = text:find(key, 1, true)
    if first then
      text, found = text:sub(1, first - 1) .. "{" .. i .. "}" .. text:sub(last + 1), i
    end
  end
  return text, found
end

local function note(request)
  local entry = { method = request:method(), headers = {} }
  for _, name in ipairs(NAMES) do
    local value = request:header(name)
    if value then
      local found
      entry.headers[name], found = without_keys(value)
      entry.key = entry.key or found
    end
  end
  for _, name in ipairs { "path", "query", "body" } do
    entry[name] = without_keys(request[name](request) or "")
  end
  list[#list + 1] = entry
  return entry
end

local function next_fault(entry)
  for _, one in ipairs(options.faults or {}) do
    if (not one.key or one.key == entry.key) and one.times ~= 0 and entry.method == "POST" then
      if (one.after or 0) == 0 then
        if one.times then one.times = one.times - 1 end
        return one
      end
      one.after = one.after - 1
    end
  end
end

-- Answers with a fault: the style's own error of a kind, or what it says.
local function refuse(request, entry, one)
  local status, body, headers = one.status, one.body, one.headers
  if one.kind then
    local about = one.kind == "limited" and fault.limited(one.window, one.wait)
      or { wait = one.wait }
    about.seen, about.now, about.token, about.model = #list, now, options.keys[entry.key], "m"
    about.path, about.method = entry.path, entry.method
    status, body, headers = provider.dialect.errors[one.kind](about)
  end
  headers = headers or {}
  headers["content-type"] = headers["content-type"] or "application/json"
  request:reply(status, headers, type(body) == "table" and json.encode(body) or body)
end

local pid = io.open("/proc/self/stat"):read "n"
print(("listening on http://127.0.0.1:%d (pid %d)"):format(server:port(), pid))
io.stdout:flush()
server:run(function(request)
  local path = request:path()
  if path == "/become" then
    become(request:body())
    return request:reply(204, {}, "")
  elseif path == "/seen" then
    return request:reply(200, { ["content-type"] = "application/json" }, json.encode(list))
  elseif path == "/journal" then
    return provider:handle(request)
  end
  local entry = note(request)
  local one = next_fault(entry)
  if one then return refuse(request, entry, one) end
  provider:handle(request)
end)
