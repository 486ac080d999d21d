--- The mock's journal: what reached it, key by key and request by request.
---
--- A key's secret is in it as the key's name only (the test's own), never in what
--- is shown of a request.
local json = require "keycycle.json"

local journal = {}

local MOST_KEPT = 1000      -- requests in the list
local MOST_BODIES = 200     -- of them, those that keep their body
local BIGGEST = 256 * 1024  -- bytes of a body that is kept

-- Headers that a test may want to compare. None of them holds a secret.
local interesting = { "accept", "anthropic-beta", "anthropic-version", "content-type",
  "http-referer", "openai-organization", "openai-project", "user-agent", "x-client-name",
  "x-openrouter-title", "x-title" }

local counters = { "requests", "ok", "refused", "failed", "input_tokens", "output_tokens",
  "total_tokens", "streams" }

local methods = {}
local journal_mt = { __index = methods }

--- keys: list of { index, name }; each gets its sums here. bodies: keep them.
function journal.new(keys, bodies)
  local self = setmetatable({ keys = keys, bodies = bodies }, journal_mt)
  self:reset()
  return self
end

--- Forgets everything.
function methods:reset()
  self.list, self.auth_failed = {}, 0
  for _, key in ipairs(self.keys) do
    for _, name in ipairs(counters) do key[name] = 0 end
  end
end

local function add_sums(key, status, input, output)
  key.requests = key.requests + 1
  if status == 200 then
    key.ok = key.ok + 1
    key.input_tokens = key.input_tokens + input
    key.output_tokens = key.output_tokens + output
    key.total_tokens = key.total_tokens + input + output
  elseif status == 429 then
    key.refused = key.refused + 1
  else
    key.failed = key.failed + 1
  end
end

local function add_contents(self, entry, visit)
  local request = visit.request
  local headers = {}
  for _, name in ipairs(interesting) do headers[name] = request:header(name) end
  entry.method, entry.headers, entry.auth = request:method(), headers, visit.auth
  entry.query = visit.query
  if visit.body and #request:body() <= BIGGEST then entry.body = visit.body end
  local old = self.list[#self.list - MOST_BODIES]
  if old then old.body = nil end
end

--- Writes down a request: visit = { request, key, auth (where the key was), query
--- (a table without the key), body (decoded) }; tokens are those of its usage.
function methods:note(visit, status, input, output, now)
  local key = visit.key
  if key then
    add_sums(key, status, input, output)
  else
    self.auth_failed = self.auth_failed + 1
  end
  local entry = { key = key and key.index, path = visit.request:path(), status = status,
    input_tokens = input, output_tokens = output, at = now }
  self.list[#self.list + 1] = entry
  if self.bodies then add_contents(self, entry, visit) end
  if #self.list > MOST_KEPT then table.remove(self.list, 1) end
end

--- The whole journal as JSON.
function methods:text()
  local keys = {}
  for i, key in ipairs(self.keys) do
    keys[i] = { index = i, name = key.name }
    for _, name in ipairs(counters) do keys[i][name] = key[name] end
  end
  return json.encode { keys = keys, auth_failed = self.auth_failed,
    requests = json.array(self.list) }
end

return journal
