--- The mock provider: keys, limits, faults and streams, whatever the dialect.
---
--- A dialect (openai.lua, anthropic.lua, …) is a table:
---   base           path of the base_url that a client is given
---   auth           list of { header, prefix } or { query }: where a key may be
---   check          function(request) -> problem or nil, once the key is known
---   routes         list of { method, path (pattern), read, answer, events, form,
---                  stream_type (or a function of the ask), broken (function: the event of
---                  an error), silent (its answer is no tokens) }; form: json, multipart, none
---   errors         functions by kind (auth bad limited overloaded server context not_found
---                  no_route, also policy failed no_json no_method): about -> status, body
---                  (table or text), headers
---   limit_headers  function(meter, status, now) -> headers
---   id_header      name of the header that numbers the answers
---   tells_delay    false: an asked retry_after is not told in a header
--- A route's read(body, captures, request) gives an `ask` (see turn.lua) or nil and a problem
--- { kind ("bad"), message, param, code }; answer(ask, turn) a body and headers; events(ask,
--- turn) a list of texts and how many of them stand before the first piece of text.
local json = require "keycycle.json"
local delivery = require "keycycle.mock.delivery"
local fault = require "keycycle.mock.fault"
local journal = require "keycycle.mock.journal"
local meter = require "keycycle.mock.meter"
local multipart = require "keycycle.mock.multipart"
local turn = require "keycycle.mock.turn"

local provider = {}

--- The dialects it speaks.
provider.styles = { "openai", "anthropic", "azure", "cerebras", "cohere", "gemini",
  "gemini_openai", "groq", "openrouter", "twelvelabs" }

local JSON_TYPE = "application/json"
local DAY = 86400

-- Kinds of errors that a dialect need not have, and the one in their place.
local otherwise = { failed = "server", no_json = "bad", no_method = "no_route" }

local methods = {}
local provider_mt = { __index = methods }

local function add_key(self, name)
  local key = self.by_key[name]
  if key then return key end
  key = { index = #self.keys + 1, name = name, meter = meter.new(self.config.limits,
    self.config.now) }
  self.keys[key.index], self.by_key[name] = key, key
  return key
end

--- config: style (see provider.styles), keys, dead, spent (lists of keys), limits (see
--- meter), limit_headers, bodies (booleans), latency and chunk_delay (seconds), fail_every,
--- overload_every (counts), now, advance (functions), server (keycycle.server).
function provider.new(config)
  local self = setmetatable({ config = config, by_key = {}, keys = {}, seen = 0,
    dialect = require("keycycle.mock." .. config.style) }, provider_mt)
  for _, name in ipairs(config.keys) do add_key(self, name) end
  for _, name in ipairs(config.dead or {}) do add_key(self, name).dead = true end
  for _, name in ipairs(config.spent or {}) do
    add_key(self, name).spent_until = config.now() + DAY
  end
  self.journal = journal.new(self.keys, config.bodies)
  return self
end

--- The path of the base_url that a client is given.
function methods:base()
  return self.dialect.base
end

local function note(self, visit, status, input, output)
  self.journal:note(visit, status, input, output, self.config.now())
end

local function reply(request, status, headers, body)
  headers["content-type"] = headers["content-type"] or JSON_TYPE
  request:reply(status, headers, type(body) == "table" and json.encode(body) or body)
end

local function limit_headers(self, visit, status)
  if not self.config.limit_headers then return {} end
  return self.dialect.limit_headers(visit.key.meter, status, self.config.now())
end

local function number(self, headers)
  if self.dialect.id_header then
    headers[self.dialect.id_header] = ("req_mock%d"):format(self.seen)
  end
end

-- Answers with the dialect's error of a kind.
local function refuse(self, visit, kind, about)
  local request = visit.request
  about = about or {}
  about.seen, about.now, about.token = self.seen, self.config.now(), visit.token
  about.method, about.path = request:method(), request:path()
  about.model = about.model or visit.ask and visit.ask.model or "mock"
  local errors = self.dialect.errors
  local status, body, headers = (errors[kind] or errors[otherwise[kind]])(about)
  headers = headers or {}
  if about.metered then
    for name, value in pairs(limit_headers(self, visit, status)) do
      headers[name] = headers[name] or value
    end
  end
  if about.delay and self.dialect.tells_delay ~= false then
    headers["retry-after"] = about.delay
  end
  number(self, headers)
  note(self, visit, status, 0, 0)
  reply(request, status, headers, body)
end

local function stream(self, visit, t, headers, name)
  local route, key, c = visit.route, visit.key, self.config
  key.streams = key.streams + 1
  local content_type = route.stream_type or "text/event-stream"
  headers["content-type"] = type(content_type) == "function" and content_type(visit.ask)
    or content_type
  local events, head = route.events(visit.ask, t)
  if name == "midstream" or name == "cut" then
    events = table.move(events, 1, math.min(head + 2, #events - 1), 1, {})
  end
  if name == "midstream" then events[#events + 1] = route.broken(visit.ask, t) end
  local send = name == "cut" and delivery.cut or delivery.stream
  send(c.server, visit.request, headers, events, c.chunk_delay)
end

local function answer(self, visit, t, headers, name)
  local body, more = visit.route.answer(visit.ask, t)
  for field, value in pairs(more or {}) do headers[field] = value end
  if type(body) == "table" then body = json.encode(body) end
  if name ~= "cut" then return reply(visit.request, 200, headers, body) end
  headers["content-type"] = headers["content-type"] or JSON_TYPE
  delivery.cut(self.config.server, visit.request, headers, { body:sub(1, #body // 2) }, 0)
end

-- What was read and is not at fault is counted, then answered. `name`: of a fault of
-- the answer.
local function admit(self, visit, name)
  local ask, key = visit.ask, visit.key
  if key.spent_until and self.config.now() < key.spent_until then
    return refuse(self, visit, "limited", fault.limited("day", key.spent_until
      - self.config.now()))
  end
  ask.refused, ask.long = name == "policy", name == "midstream" or name == "cut"
  local t = turn.take(ask)
  if visit.route.silent then t.output = 0 end
  local refused = key.meter:take(t.input, t.output)
  if refused then
    refused.metered = true
    return refuse(self, visit, "limited", refused)
  end
  local streams = ask.stream and visit.route.events
  if name == "midstream" and not streams then return refuse(self, visit, "failed") end
  local headers = limit_headers(self, visit, 200)
  number(self, headers)
  note(self, visit, 200, t.input, t.output)
  return (streams and stream or answer)(self, visit, t, headers, name)
end

-- Where the request has its key: the key and the name of that place.
local function find_token(self, visit)
  for _, place in ipairs(self.dialect.auth) do
    local value = place.query and visit.query[place.query]
      or place.header and visit.request:header(place.header)
    if place.query then visit.query[place.query] = nil end
    if value and place.prefix then
      value = value:lower():sub(1, #place.prefix) == place.prefix and value:sub(#place.prefix + 1)
    end
    if value and visit.token == nil then
      visit.token, visit.auth = value, place.header or "?" .. place.query
    end
  end
end

local function read_query(text)
  local query = {}
  for name, value in text:gmatch "([^&=]+)=?([^&]*)" do
    query[name] = value:gsub("+", " "):gsub("%%(%x%x)", function(hex)
      return string.char(tonumber(hex, 16))
    end)
  end
  return query
end

-- The route of a path, its captures, and whether its method was the wrong one.
local function find_route(self, request)
  local wrong = false
  for _, route in ipairs(self.dialect.routes) do
    local captures = { request:path():match(route.path) }
    if captures[1] and route.method == request:method() then return route, captures end
    wrong = wrong or captures[1] ~= nil
  end
  return nil, nil, wrong
end

-- The body of a POST: a table, or nil and a problem.
local function read_body(request, route)
  if route.form == "multipart" then
    local form, why = multipart.read(request:header "content-type", request:body())
    return form, form == nil and { message = "Could not parse multipart form: " .. why } or nil
  end
  local ok, body = pcall(json.decode, request:body())
  if ok and type(body) == "table" then return body end
  return nil, { kind = "no_json", message = "We could not parse the JSON body of your request." }
end

-- What is asked; a dialect names the mistakes that clients make, and what else it
-- stumbles over is refused all the same.
local function read_ask(visit, captures)
  local ok, ask, problem = pcall(visit.route.read, visit.body, captures, visit)
  if ok then return ask, problem end
  return nil, { message = "The mock cannot read this: " .. tostring(ask):gsub("^%S+: ", "") }
end

local function serve(self, request)
  self.seen = self.seen + 1
  local visit = { request = request, query = read_query(request:query()) }
  find_token(self, visit)
  visit.key = self.by_key[visit.token or ""]
  if not visit.key or visit.key.dead then return refuse(self, visit, "auth") end
  local problem = self.dialect.check and self.dialect.check(request)
  if problem then return refuse(self, visit, problem.kind or "bad", problem) end
  local route, captures, wrong = find_route(self, request)
  if not route then return refuse(self, visit, wrong and "no_method" or "no_route") end
  visit.route = route
  if route.method == "POST" and route.form ~= "none" then
    visit.body, problem = read_body(request, route)
    if problem then return refuse(self, visit, problem.kind or "bad", problem) end
  end
  visit.ask, problem = read_ask(visit, captures)
  if problem then return refuse(self, visit, problem.kind or "bad", problem) end
  visit.ask.seen = self.seen
  local kind, about = fault.due(visit, self.seen, self.config, self.dialect.errors)
  if kind then return refuse(self, visit, kind, about) end
  admit(self, visit, about)
end

-- The mock's own paths: what tests ask and tell it.
local function own_path(self, request)
  local path, method = request:path(), request:method()
  if path == "/journal" and method == "GET" then
    reply(request, 200, {}, self.journal:text())
  elseif path == "/journal/reset" and method == "POST" then
    self.journal:reset()
    reply(request, 200, {}, "{}")
  elseif path == "/advance" and method == "POST" and self.config.advance then
    self.config.advance(tonumber(request:query():match "seconds=([%d.]+)") or 0)
    reply(request, 200, {}, "{}")
  else
    return false
  end
  return true
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
