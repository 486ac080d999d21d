--- Clients: `client.chat.completions:create { … }` over an adapter's routes.
---
--- It checks the request before anything is acquired, sends the caller's table as
--- it is, and keeps what it knows of an answer beside it (`info`).
local core = require "keycycle.core"
local call = require "keycycle.call"
local errors = require "keycycle.errors"

local proxy = {}

local json = core.json
local infos = setmetatable({}, { __mode = "k" })
local states = setmetatable({}, { __mode = "k" }) -- client or path node -> its state

local options = {
  model = "string", estimated_tokens = "number", max_retries = "number", wait = "boolean",
  timeout = "number", request_timeout = "number", idle_timeout = "number",
  deadline = "number", priority = "number", affinity = "string", key_id = "any",
  pin_key = "boolean", policy = "any", usage_extractor = "function", model_param = "string",
  excluded_params = "table", base_url = "string", headers = "table",
}

local function invalid(fmt, ...)
  errors.raise(errors.InvalidConfigurationError, { code = "invalid", message = fmt:format(...) })
end

local function bad_request(entry, message)
  errors.raise(errors.KeycycleError, {
    code = "bad_request", provider = entry.name, message = message,
  })
end

--- Checks a table of client options; raises InvalidConfigurationError.
function proxy.check_options(opts)
  if type(opts) ~= "table" then invalid("options are a table, not a %s", type(opts)) end
  for k, v in pairs(opts) do
    local want = options[k]
    if not want then invalid("there is no client option %q", tostring(k)) end
    if want ~= "any" and type(v) ~= want then invalid("option %s must be a %s", k, want) end
    if want == "number" and (v < 0 or v ~= v) then
      invalid("option %s must not be negative", k)
    end
  end
  if opts.priority and not (math.tointeger(opts.priority) and opts.priority <= 7) then
    invalid "option priority goes from 0 to 7"
  end
  if opts.affinity then invalid "option affinity is not served by this version" end
  return opts
end

local function merge(base, more)
  if not more then return base end
  local all = {}
  for k, v in pairs(base) do all[k] = v end
  for k, v in pairs(proxy.check_options(more)) do all[k] = v end
  return all
end

-- What is sent: the caller's table, or a copy where something must be filled in
-- or left out.
local function complete(entry, route, request, opts)
  local name = opts.model_param or "model"
  local excluded = opts.excluded_params or entry.config.excluded_params
  local model = opts.model or entry.config.default_model
  local fill = route.model and request[name] == nil
  if fill and not model then
    bad_request(entry, ("no model: give %s in the request or default_model"):format(name))
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
  if not text then bad_request(entry, "the request cannot be sent: " .. why) end
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

-- A call by a route of the adapter.
local function invoke(client, name, request, opts)
  local state = states[client]
  local entry, route = state.entry, state.entry.adapter.routes[name]
  opts = merge(state.opts, opts)
  entry:check_open()
  if route.method == "GET" then
    return send(entry, route, { query = request, headers = nil }, opts)
  end
  if type(request) ~= "table" then
    bad_request(entry, ("%s needs a table, not a %s"):format(name, type(request)))
  end
  local body = complete(entry, route, request, opts)
  return send(entry, route, {
    json = body, text = encode(entry, body), stream = body.stream == true,
  }, opts)
end

-- client:request { … }: any path of the provider.
local function request_any(client, spec, opts)
  local state = states[client]
  local entry = state.entry
  if type(spec) ~= "table" then bad_request(entry, "request needs a table") end
  if type(spec.path) ~= "string" or spec.path:sub(1, 1) ~= "/" then
    bad_request(entry, "request.path must be a text that begins with /")
  end
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
  states[client] = { entry = entry, opts = proxy.check_options(opts or {}), nodes = {} }
  return client
end

--- What is known of a response or a stream: `{ provider, model, key_index,
--- key_suffix, params, attempts, waited, usage, status, headers, body }`. It is
--- kept beside the response; `attempts` has one entry a try. nil for others.
function proxy.info(response)
  return infos[response]
end

return proxy
