--- Clients: `client.chat.completions:create { … }` over an adapter's routes.
---
--- It checks the request before anything is acquired, sends the caller's table as
--- it is, and keeps what it knows of an answer beside it (`info`).
local core = require "keycycle.core"
local call = require "keycycle.call"
local errors = require "keycycle.errors"
local options = require "keycycle.options"

local proxy = {}

local json = core.json
local plain = { string = true, number = true, boolean = true }
local infos = setmetatable({}, { __mode = "k" })
local states = setmetatable({}, { __mode = "k" }) -- client or path node -> its state

local function bad_request(entry, fmt, ...)
  errors.raise(errors.KeycycleError, {
    code = "bad_request", provider = entry.name, message = fmt:format(...),
  })
end

local function merge(base, more)
  if not more then return base end
  local all = {}
  for k, v in pairs(base) do all[k] = v end
  for k, v in pairs(options.check(more)) do all[k] = v end
  return all
end

-- What is sent: the caller's table, or a copy where something must be filled in
-- or left out.
local function complete(entry, route, request, opts)
  local name = opts.model_param or "model"
  local excluded = opts.excluded_params or entry.config.excluded_params
  local model = opts.model or entry.config.default_model
  local fill = route.model and request[name] == nil
  if not fill and route.model and type(request[name]) ~= "string" then
    bad_request(entry, "%s must be a text, not a %s", name, type(request[name]))
  end
  if fill and not model then
    bad_request(entry, "no model: give %s in the request or default_model", name)
  end
  if not fill and not excluded then return request end
  local copy = setmetatable({}, getmetatable(request))
  for k, v in pairs(request) do copy[k] = v end
  if fill then copy[name] = model end
  for _, k in ipairs(excluded or {}) do copy[k] = nil end
  return copy
end

local function encode(entry, value)
  local text, why = json.encode(value)
  if not text then bad_request(entry, "the request cannot be sent: %s", why) end
  return text
end

local function keep_info(run, result, object)
  infos[object] = {
    provider = run.entry.name, model = run.model, key_index = result.key_index,
    key_suffix = result.key_suffix, params = result.params, attempts = run.attempts,
    waited = run.waited, usage = result.usage, status = result.status,
    headers = result.headers, body = result.body,
  }
  return infos[object]
end

local function send(entry, route, request, opts)
  local run = call.new(entry, route, request, opts)
  local result = call.run(run)
  local s = result.stream
  if s then
    result.usage = s.info.usage -- known already where it ended at once
    s.info = keep_info(run, result, s)
    return s, nil, nil, s
  end
  if type(result.decoded) == "table" then keep_info(run, result, result.decoded) end
  return result.decoded
end

-- What stands after the "?": one text or number a name.
local function check_query(entry, query)
  for name, value in pairs(query or {}) do
    if type(name) ~= "string" or not plain[type(value)] then
      bad_request(entry, "the query's %s must be a text, a number or a boolean", tostring(name))
    end
  end
  return query
end

-- A call by a route of the adapter.
local function invoke(client, name, request, opts)
  local state = states[client]
  local entry, route = state.entry, state.entry.adapter.routes[name]
  opts = merge(state.opts, opts)
  entry:check_open()
  local bare = route.method == "GET" and request == nil
  if not bare and type(request) ~= "table" then
    bad_request(entry, "%s needs a table, not a %s", name, type(request))
  end
  if route.method == "GET" then
    return send(entry, route, { query = check_query(entry, request) }, opts)
  end
  local body = complete(entry, route, request, opts)
  return send(entry, route, {
    json = body, text = encode(entry, body), stream = body.stream == true,
  }, opts)
end

local spec_fields = { method = "string", path = "string", query = "table", body = "string",
  headers = "table", stream = "boolean", model = "string" }

local function check_spec(entry, spec)
  if type(spec) ~= "table" then
    bad_request(entry, "request needs a table, not a %s", type(spec))
  end
  for name, value in pairs(spec) do
    local want = spec_fields[name]
    if name ~= "json" and not want then
      bad_request(entry, "request has no field %q", tostring(name))
    end
    if want and type(value) ~= want then
      bad_request(entry, "request.%s must be a %s", name, want)
    end
  end
  if not spec.path or spec.path:sub(1, 1) ~= "/" then
    bad_request(entry, "request.path must be a text that begins with /")
  end
  if spec.json ~= nil and spec.body then
    bad_request(entry, "request takes json or body, not both")
  end
  check_query(entry, spec.query)
end

-- client:request { … }: any path of the provider.
local function request_any(client, spec, opts)
  local state = states[client]
  local entry = state.entry
  check_spec(entry, spec)
  opts = merge(state.opts, opts)
  entry:check_open()
  local method = spec.method or ((spec.json or spec.body) and "POST" or "GET")
  local text = spec.body
  if spec.json ~= nil then text = encode(entry, spec.json) end
  return send(entry, { method = method:upper(), path = spec.path,
    protocol = spec.path:find "/chat/completions$" and "chat" or nil }, {
    json = type(spec.json) == "table" and spec.json or nil, text = text,
    query = spec.query, headers = spec.headers, stream = spec.stream == true,
    model = spec.model,
  }, opts)
end

-- The names that may follow `prefix` ("" for the client itself).
local function known_paths(routes)
  local names = { "request" }
  for name in pairs(routes) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function leads_on(routes, prefix)
  for name in pairs(routes) do
    if name:sub(1, #prefix + 1) == prefix .. "." then return true end
  end
  return false
end

local node_mt = { __name = "keycycle.path" }

-- One step further along a path: a node that can be called or stepped into.
local function step(client, prefix, key)
  local state = states[client]
  local routes = state.entry.adapter.routes
  local path = prefix == "" and tostring(key) or prefix .. "." .. tostring(key)
  local node = state.nodes[path]
  if node then return node end
  if path == "request" then
    return function(self, spec, opts)
      if self ~= client then self, spec, opts = client, self, spec end
      return request_any(self, spec, opts)
    end
  end
  if not routes[path] and not leads_on(routes, path) then
    errors.raise(errors.InvalidConfigurationError, {
      code = "unknown_path", provider = state.entry.name,
      message = ("client.%s is not known; known: %s"):format(path, known_paths(routes)),
    })
  end
  node = setmetatable({}, node_mt)
  states[node] = { client = client, path = path, prefix = prefix }
  state.nodes[path] = node
  return node
end

node_mt.__index = function(node, key)
  local state = states[node]
  return step(state.client, state.path, key)
end

-- Both `completions:create(request)` and `completions.create(request)` work: the
-- first passes the node before (or the client), which is recognised and dropped.
node_mt.__call = function(node, first, ...)
  local state = states[node]
  local client = state.client
  local routes = states[client].entry.adapter.routes
  if not routes[state.path] then
    errors.raise(errors.InvalidConfigurationError, {
      code = "unknown_path", provider = states[client].entry.name,
      message = ("client.%s cannot be called; known: %s"):format(state.path, known_paths(routes)),
    })
  end
  local before = state.prefix == "" and client or states[client].nodes[state.prefix]
  if rawequal(first, before) then return invoke(client, state.path, ...) end
  return invoke(client, state.path, first, ...)
end

node_mt.__tostring = function(node) return "client path " .. states[node].path end

local client_mt = {
  __name = "keycycle.client",
  __index = function(client, key) return step(client, "", key) end,
  __tostring = function(client)
    return "keycycle client of " .. states[client].entry.name
  end,
}

--- Makes a rotating client of a registered provider.
---@param entry table
---@param opts? table the options of API.md section 4
function proxy.new(entry, opts)
  local client = setmetatable({}, client_mt)
  states[client] = { entry = entry, opts = options.check(opts or {}), nodes = {} }
  return client
end

--- What is known of a response or a stream: `{ provider, model, key_index,
--- key_suffix, params, attempts, waited, usage, status, headers, body }`. It is
--- kept beside the response; `attempts` has one entry a try. nil for others.
function proxy.info(response)
  return infos[response]
end

return proxy
