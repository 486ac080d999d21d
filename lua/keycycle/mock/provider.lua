--- The mock provider: routes, keys, limits and a journal of what reached it.
local json = require "keycycle.json"
local meter = require "keycycle.mock.meter"
local openai = require "keycycle.mock.openai"

local provider = {}

local MOST_KEPT = 1000 -- requests in the journal's list
local JSON_TYPE = "application/json"

local methods = {}
local provider_mt = { __index = methods }

--- config: keys (list), limits (see meter), limit_headers (boolean), latency and
--- chunk_delay (seconds), fail_every, overload_every (counts), now (function),
--- server (keycycle.server).
function provider.new(config)
  local self = setmetatable({ config = config, by_key = {}, keys = {}, list = {},
    auth_failed = 0, seen = 0 }, provider_mt)
  for i, key in ipairs(config.keys) do
    self.keys[i] = { index = i, name = key, meter = meter.new(config.limits, config.now),
      requests = 0, ok = 0, refused = 0, failed = 0, input_tokens = 0, output_tokens = 0,
      total_tokens = 0, streams = 0 }
    self.by_key[key] = self.keys[i]
  end
  return self
end

-- One line of the journal, and the key's sums.
local function note(self, key, request, status, input, output)
  if key then
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
  else
    self.auth_failed = self.auth_failed + 1
  end
  self.list[#self.list + 1] = { key = key and key.index, path = request:path(), status = status,
    input_tokens = input, output_tokens = output, at = self.config.now() }
  if #self.list > MOST_KEPT then table.remove(self.list, 1) end
end

local function reply(request, status, headers, body)
  headers["content-type"] = JSON_TYPE
  request:reply(status, headers, body)
end

local function refuse(self, key, request, status, body, headers)
  note(self, key, request, status, 0, 0)
  headers = headers or {}
  headers["x-request-id"] = ("req_mock%d"):format(self.seen)
  reply(request, status, headers, body)
end

-- A fault that the request itself asks for: "mock:status=503 retry_after=2".
local function asked_fault(request, said)
  local status = request:header "x-mock-status" or said:match "mock:status=(%d+)"
  local delay = said:match "mock:retry_after=([%d.]+)" or said:match "retry_after=([%d.]+)"
  if not status and said:find("mock:retry_after=", 1, true) then status = "429" end
  return math.tointeger(tonumber(status)), delay
end

local function every(n, count)
  return n and n > 0 and count % n == 0
end

-- The fault that is due: its status and delay, or nil.
local function due_fault(self, request, said)
  local status, delay = asked_fault(request, said)
  if status and status >= 400 and status <= 599 then return status, delay end
  if every(self.config.fail_every, self.seen) then return 500 end
  if every(self.config.overload_every, self.seen) then return 503 end
  return nil
end

local function fault(self, key, request, status, delay)
  local body = openai.error(
    "The server had an error while processing your request. Sorry about that!", "server_error")
  if status == 429 then body = openai.limited("mock", "requests", 0, tonumber(delay) or 1) end
  refuse(self, key, request, status, body, { ["retry-after"] = delay })
end

local function send_stream(self, request, headers, events)
  local server, delay = self.config.server, self.config.chunk_delay
  headers["content-type"] = "text/event-stream"
  headers["cache-control"] = "no-cache"
  request:start(200, headers)
  local i = 0
  local function more()
    if not request:is_open() then return end
    repeat
      i = i + 1
      request:chunk(events[i])
    until i == #events or delay > 0 or request:backlog() > 256 * 1024
    if i == #events then
      request:finish()
    else
      server:after(math.max(delay, 0.001), more)
    end
  end
  more()
end

local function admit(self, key, request, model, tokens)
  local wait, unit, limit = key.meter:take(tokens)
  local headers = self.config.limit_headers and openai.limit_headers(key.meter) or {}
  headers["x-request-id"] = ("req_mock%d"):format(self.seen)
  if not wait then return headers end
  headers["retry-after"] = ("%d"):format(math.ceil(wait))
  refuse(self, key, request, 429, openai.limited(model, unit, limit, wait), headers)
  return nil
end

local function whole(value)
  local n = math.tointeger(value)
  return n and n > 0 and n or nil
end

local function chat(self, key, request, body)
  if type(body.messages) ~= "table" or #body.messages == 0 then
    return refuse(self, key, request, 400, openai.error(
      "Missing required parameter: 'messages'.", "invalid_request_error",
      "missing_required_parameter", "messages"))
  end
  local said, input = openai.read_messages(body.messages)
  local status, delay = due_fault(self, request, said)
  if status then return fault(self, key, request, status, delay) end
  local most = whole(body.max_completion_tokens) or whole(body.max_tokens)
  local text, reason = openai.answer(said, most)
  local output = openai.tokens(text)
  local headers = admit(self, key, request, body.model, input + output)
  if not headers then return end
  note(self, key, request, 200, input, output)
  local id = ("chatcmpl-mock%d"):format(self.seen)
  if not body.stream then
    return reply(request, 200, headers, openai.completion(id, body.model, text, reason, input))
  end
  key.streams = key.streams + 1
  local options = type(body.stream_options) == "table" and body.stream_options or {}
  send_stream(self, request, headers,
    openai.events(id, body.model, text, reason, input, options.include_usage ~= false))
end

local function embeddings(self, key, request, body)
  local inputs = type(body.input) == "string" and { body.input } or body.input
  if type(inputs) ~= "table" or type(inputs[1]) ~= "string" then
    return refuse(self, key, request, 400, openai.error(
      "Missing required parameter: 'input'.", "invalid_request_error",
      "missing_required_parameter", "input"))
  end
  local text, tokens = openai.embeddings(body.model, inputs)
  local headers = admit(self, key, request, body.model, tokens)
  if not headers then return end
  note(self, key, request, 200, tokens, 0)
  reply(request, 200, headers, text)
end

local function models(self, key, request)
  local headers = admit(self, key, request, "models", 0)
  if not headers then return end
  note(self, key, request, 200, 0, 0)
  reply(request, 200, headers, openai.models())
end

local routes = {
  ["/v1/chat/completions"] = { method = "POST", run = chat },
  ["/v1/embeddings"] = { method = "POST", run = embeddings },
  ["/v1/models"] = { method = "GET", run = models },
}

-- The body of a POST: a table, or nil after it was refused.
local function read_body(self, key, request)
  local ok, body = pcall(json.decode, request:body())
  if not ok or type(body) ~= "table" then
    refuse(self, key, request, 400, openai.error(
      "We could not parse the JSON body of your request.", "invalid_request_error"))
    return nil
  end
  if type(body.model) ~= "string" then
    refuse(self, key, request, 400, openai.error("you must provide a model parameter",
      "invalid_request_error"))
    return nil
  end
  return body
end

local function journal(self)
  local keys = {}
  for i, key in ipairs(self.keys) do
    keys[i] = { index = i, name = key.name, requests = key.requests, ok = key.ok,
      refused = key.refused, failed = key.failed, input_tokens = key.input_tokens,
      output_tokens = key.output_tokens, total_tokens = key.total_tokens,
      streams = key.streams }
  end
  return json.encode { keys = keys, auth_failed = self.auth_failed,
    requests = json.array(self.list) }
end

-- The mock's own paths: what tests ask and tell it.
local function own_path(self, request)
  local path, method = request:path(), request:method()
  if path == "/journal" and method == "GET" then
    reply(request, 200, {}, journal(self))
  elseif path == "/journal/reset" and method == "POST" then
    self.list, self.auth_failed = {}, 0
    for _, key in ipairs(self.keys) do
      for name, value in pairs(key) do
        if math.type(value) == "integer" and name ~= "index" then key[name] = 0 end
      end
    end
    reply(request, 200, {}, "{}")
  elseif path == "/advance" and method == "POST" and self.config.advance then
    self.config.advance(tonumber(request:query():match "seconds=([%d.]+)") or 0)
    reply(request, 200, {}, "{}")
  else
    return false
  end
  return true
end

local function serve(self, request)
  self.seen = self.seen + 1
  local route = routes[request:path()]
  local token = (request:header "authorization" or ""):match "^[Bb]earer%s+(.+)$" or ""
  local key = self.by_key[token]
  if not key then return refuse(self, nil, request, 401, openai.unknown_key(token)) end
  if not route then
    return refuse(self, key, request, 404, openai.error(("Invalid URL (%s %s)")
      :format(request:method(), request:path()), "invalid_request_error", "unknown_url"))
  end
  if route.method ~= request:method() then
    return refuse(self, key, request, 405, openai.error("Not allowed to " .. request:method(),
      "invalid_request_error", "method_not_supported"))
  end
  if route.method == "GET" then return route.run(self, key, request) end
  local body = read_body(self, key, request)
  if body then route.run(self, key, request, body) end
end

--- Answers one request of the server, after the latency.
function methods:handle(request)
  if own_path(self, request) then return end
  if self.config.latency > 0 then
    self.config.server:after(self.config.latency, function()
      if request:is_open() then serve(self, request) end
    end)
  else
    serve(self, request)
  end
end

return provider
