--- Clients: `client.chat.completions:create { … }` over an adapter's routes.
---
--- It checks the request before anything is acquired, sends the caller's table as
--- it is, and keeps what it knows of an answer beside it (`info`). The client of an
--- Async face does the same in a task for each call.
local ascii = require "keycycle.ascii"
local call = require "keycycle.call"
local errors = require "keycycle.errors"
local info = require "keycycle.info"
local options = require "keycycle.config.options"
local request = require "keycycle.call.request"
local task = require "keycycle.task"
local template = require "keycycle.call.template"

local proxy = {}

local bad_request = request.bad
local states = setmetatable({}, { __mode = "k" }) -- client or path node -> its state

local function merge(base, more)
  return more and options.merge(base, options.check(more)) or base
end

local function send(run)
  local result = call.run(run)
  local s = result.stream
  if s then
    result.usage = s.info.usage -- known already where it ended at once
    s.info = info.keep(run, result, s)
    return s, nil, nil, s
  end
  if type(result.decoded) == "table" then info.keep(run, result, result.decoded) end
  return result.decoded
end

-- Sends what `prepare` makes of the arguments. In an async client the call is a task,
-- always.
local function perform(client, prepare, ...)
  if states[client].async then return task.spawn_prepared(send, prepare, client, ...) end
  return send(prepare(client, ...))
end

-- A call by a route of the adapter, ready to be sent.
local function prepare_route(client, name, given, opts)
  local state = states[client]
  local entry, route = state.entry, state.entry.adapter.routes[name]
  opts = merge(state.opts, opts)
  entry:check_open()
  -- What only looks, and the check of a key, need nothing said.
  local bare = given == nil and (route.method == "GET" or name == "check")
  if not bare and type(given) ~= "table" then
    bad_request(entry, "%s needs a table, not a %s", name, type(given))
  end
  return call.new(entry, route, request.build(entry, route, given, opts), opts)
end

local spec_fields = { method = "string", path = "string", query = "table", json = "any",
  body = "string", headers = "table", stream = "boolean", model = "string" }

local function check_spec(entry, spec)
  if type(spec) ~= "table" then
    bad_request(entry, "request needs a table, not a %s", type(spec))
  end
  for name, value in pairs(spec) do
    local want = spec_fields[name]
    if not want then
      bad_request(entry, "request has no field %q (known: %s)", tostring(name),
        errors.list(spec_fields))
    end
    if want ~= "any" and type(value) ~= want then
      bad_request(entry, "request.%s must be a %s", name, want)
    end
  end
  if not spec.path or spec.path:sub(1, 1) ~= "/" then
    bad_request(entry, "request.path must be a text that begins with /")
  end
  if spec.json ~= nil and spec.body then
    bad_request(entry, "request takes json or body, not both")
  end
  options.check_headers(spec.headers or {}, "request.headers")
  request.check_query(entry, spec.query)
end

-- Whether a path is a route's, written with its `{names}` or filled in, be it behind
-- more where base_url has less.
local function is_route(known, path)
  return known == path or template.fits(known, path) or path:sub(-#known) == known
end

-- The route that has this path, for its protocol: of several the one that says most.
local function route_of(entry, method, path)
  local protocol, size = nil, -1
  for _, route in pairs(entry.adapter.routes or {}) do
    for _, known in ipairs { route.path, route.stream_path } do
      local said = #template.bare(known)
      if route.protocol and route.method == method and said > size
        and is_route(known, path) then
        protocol, size = route.protocol, said
      end
    end
  end
  return { protocol = protocol }
end

-- client:request { … }: any path of the provider, ready to be sent.
local function prepare_any(client, spec, opts)
  local state = states[client]
  local entry = state.entry
  check_spec(entry, spec)
  opts = merge(state.opts, opts)
  entry:check_open()
  local method = ascii.upper(spec.method or ((spec.json or spec.body) and "POST" or "GET"))
  local text = spec.body
  if spec.json ~= nil then text = request.encode(entry, spec.json) end
  return call.new(entry, route_of(entry, method, spec.path), {
    method = method, path = spec.path, text = text,
    content_type = text and "application/json",
    json = type(spec.json) == "table" and spec.json or nil,
    query = spec.query, headers = spec.headers, stream = spec.stream == true,
    model = spec.model,
  }, opts)
end

-- The names that may follow `prefix` ("" for the client itself).
local function known_paths(routes)
  return "request, " .. errors.list(routes)
end

local function leads_on(routes, prefix)
  for name in pairs(routes) do
    if name:sub(1, #prefix + 1) == prefix .. "." then return true end
  end
  return false
end

local node_mt = { __name = "keycycle.path" }

local function request_of(client)
  return function(self, spec, opts)
    if self ~= client then self, spec, opts = client, self, spec end
    return perform(self, prepare_any, spec, opts)
  end
end

-- One step further along a path: a node that can be called or stepped into. `before`,
-- the node or the client that it comes from, keeps it as a field: it is made once.
local function step(client, before, prefix, key)
  local state = states[client]
  local routes = state.entry.adapter.routes
  local path = prefix == "" and tostring(key) or prefix .. "." .. tostring(key)
  if path == "request" then
    local send_any = request_of(client)
    rawset(before, key, send_any)
    return send_any
  end
  if not routes[path] and not leads_on(routes, path) then
    errors.raise(errors.InvalidConfigurationError, {
      code = "unknown_path", provider = state.entry.name,
      message = ("client.%s is not known; known: %s"):format(path, known_paths(routes)),
    })
  end
  local node = setmetatable({}, node_mt)
  states[node] = { client = client, path = path, before = before }
  rawset(before, key, node)
  return node
end

node_mt.__index = function(node, key)
  local state = states[node]
  return step(state.client, node, state.path, key)
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
  if rawequal(first, state.before) then return perform(client, prepare_route, state.path, ...) end
  return perform(client, prepare_route, state.path, first, ...)
end

node_mt.__tostring = function(node) return "client path " .. states[node].path end

local client_mt = {
  __name = "keycycle.client",
  __index = function(client, key) return step(client, client, "", key) end,
  __tostring = function(client)
    local state = states[client]
    return ("keycycle %sclient of %s"):format(state.async and "async " or "", state.entry.name)
  end,
}

--- Makes a rotating client of a registered provider.
---@param entry table
---@param opts? keycycle.CallOptions
---@param async? boolean each call returns a task at once; its `await` gives the results
--- and raises what is wrong, with the arguments too
function proxy.new(entry, opts, async)
  local client = setmetatable({}, client_mt)
  states[client] = { entry = entry, opts = options.check(opts or {}),
    async = async == true }
  return client
end

return proxy
