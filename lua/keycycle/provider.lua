--- Providers: what a file in providers/ defines, checked and with `extends`
--- resolved; and all of them by name.
local address = require "keycycle.call.address"
local ascii = require "keycycle.ascii"
local builtin = require "keycycle.loader.builtin"
local charge = require "keycycle.limit.charge"
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local limit_headers = require "keycycle.limit.headers"
local limit_table = require "keycycle.limit.table"
local rules = require "keycycle.refusal.rules"
local scripts = require "keycycle.loader.scripts"
local shape = require "keycycle.config.shape"
local template = require "keycycle.call.template"

local invalid = errors.invalid

local provider = {}

local provider_mt = { __name = "keycycle.provider" }

local fields = {
  name = "string", extends = "string", base_url = "string", strategy = "string",
  env = "string", auth = "table", params = "table", headers = "table", protocols = "table",
  routes = "table", limits = "table|function", limit_headers = "table", classify = "table|function",
  usage = "table|function", estimate = "table|function", charge = "table", dialect = "table",
}
local usage_fields = { input_tokens = "string", output_tokens = "string", total_tokens = "string",
  cached_tokens = "string", reasoning_tokens = "string" }
local route_fields = { method = "string", path = "string", protocol = "string",
  model = "boolean|string", class = "string", query = "table", fill = "table", form = "boolean",
  stream = "boolean", stream_path = "string", stream_query = "table", lines = "boolean" }
local methods = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }
local merged = { routes = true, protocols = true }
local not_inherited = { name = true, env = true, extends = true }

local function is_type(value, want)
  for one in want:gmatch "[^|]+" do
    if type(value) == one then return true end
  end
  return false
end

local function check_fields(given, known, where)
  for k, v in pairs(given) do
    local want = known[k]
    if not want then
      invalid("%s has no field %q (known: %s)", where, tostring(k), errors.list(known))
    end
    if not is_type(v, want) then
      invalid("%s.%s must be a %s", where, k, (want:gsub("|", " or a ")))
    end
  end
end

-- The key is filled in where auth says so and nowhere else.
local function check_texts(given, where)
  if type(given) == "string" then
    if given:find("{api_key}", 1, true) then
      invalid("%s holds {api_key}, which is filled in for auth.value only", where)
    end
  elseif type(given) == "table" then
    for k, v in pairs(given) do
      check_texts(k, where)
      check_texts(v, where .. "." .. tostring(k))
    end
  end
end

local function check_auth(auth, where)
  check_fields(auth, { header = "string", query = "string", value = "string",
    optional = "boolean" }, where .. ".auth")
  if not auth.value or (auth.header == nil) == (auth.query == nil) then
    invalid("%s: auth needs value, and header or query", where)
  end
  local why = address.auth_fault(auth)
  if why then invalid("%s.auth: %s", where, why) end
end

local function check_headers(headers, where, auth)
  for name, value in pairs(headers) do
    local why = address.header_fault(name, value, auth)
    if why then invalid("%s.headers.%s %s", where, tostring(name), why) end
  end
end

local function check_path(path, where)
  local why = address.path_fault(path)
  if why then invalid("%s %s", where, why) end
end

local function check_route(route, where, protocols)
  if type(route) ~= "table" then invalid("%s must be a table", where) end
  check_fields(route, route_fields, where)
  if not route.path then invalid("%s.path is missing", where) end
  check_path(route.path, where .. ".path")
  if route.stream_path then check_path(route.stream_path, where .. ".stream_path") end
  if not methods[route.method] then
    invalid("%s.method must be GET, POST, PUT, PATCH or DELETE", where)
  end
  if route.protocol and not (protocols or {})[route.protocol] then
    invalid("%s.protocol: there is no %q in protocols", where, route.protocol)
  end
  shape.query(route.query or {}, where .. ".query")
  shape.query(route.stream_query or {}, where .. ".stream_query")
  shape.json(route.fill or {}, where .. ".fill")
end

local protocol_functions = { encode = "function", decode = "function", event = "function",
  usage = "function", estimate = "function", estimate_input = "function" }

-- Files beside the protocols that are none.
local no_protocol = { answer = true, collect = true, estimate = true, neutral = true }

local function check_protocols(protocols, where)
  local names, known = {}, {}
  for _, name in ipairs(core.builtin_names "keycycle/protocol/") do
    if not no_protocol[name] then names[#names + 1], known[name] = name, true end
  end
  for name, given in pairs(protocols) do
    local at = where .. ".protocols." .. tostring(name)
    if type(given) == "table" then
      check_fields(given, protocol_functions, at)
    elseif not known[given] then
      invalid("%s: there is no protocol %q (known: %s)", at, tostring(given),
        table.concat(names, ", "))
    end
  end
end

-- `{ "a", b = "default" }`: names of a key's parameters.
local function check_params(params, where, prefix)
  for k, v in pairs(params) do
    local name = math.type(k) and v or k
    if type(name) ~= "string" or not name:find "^[%l_][%l%d_]*$" or type(v) ~= "string" then
      invalid("%s.params: names are small letters, digits and _; a default is a text", where)
    end
    -- Its variable would be the key's of a provider with another name.
    if shape.is_secret(prefix .. "_" .. ascii.upper(name)) then
      invalid("%s.params.%s: a parameter is no key, and its variable may be another provider's key",
        where, name)
    end
  end
end

local function check(definition, where)
  check_fields(definition, fields, where)
  if definition.strategy and definition.strategy ~= "per_model"
    and definition.strategy ~= "global" then
    invalid("%s.strategy is per_model or global", where)
  end
  if definition.env and not definition.env:find "^[%u][%u%d_]*$" then
    invalid("%s.env is the beginning of a variable: capitals, digits and _", where)
  end
  if definition.auth then check_auth(definition.auth, where) end
  for name, value in pairs(definition) do
    if name ~= "auth" then check_texts(value, where .. "." .. name) end
  end
  local why = definition.base_url and address.url_fault(definition.base_url)
  if why then invalid("%s.base_url %q: %s", where, definition.base_url, why) end
  for _, name in ipairs { "usage", "estimate" } do
    if type(definition[name]) == "table" then
      shape.paths(definition[name], where .. "." .. name)
    end
  end
  if type(definition.usage) == "table" then
    check_fields(definition.usage, usage_fields, where .. ".usage")
  end
  if definition.charge then charge.check(definition.charge, where .. ".charge") end
  limit_headers.check(definition.limit_headers or {}, where .. ".limit_headers")
  if definition.limits then limit_table.read(definition.limits, where .. ".limits") end
end

-- What can only be told with what it extends.
local function check_whole(definition, where)
  check_protocols(definition.protocols or {}, where)
  check_headers(definition.headers or {}, where, definition.auth)
  rules.check(definition.classify, definition.name)
  check_params(definition.params or {}, where, provider.env_prefix(definition))
  for name, route in pairs(definition.routes or {}) do
    shape.route_name(name, where .. ".routes")
    check_route(route, where .. ".routes." .. tostring(name), definition.protocols)
  end
end

-- Of both, the definition's own first; `false` takes one away.
local function merge(own, base)
  local out = {}
  for k, v in pairs(base) do
    if own[k] ~= false then out[k] = v end
  end
  for k, v in pairs(own) do out[k] = v or nil end
  return out
end

-- Of its own name it extends the built-in one that it replaces.
local function inherit(definition, where, find)
  local name = definition.extends
  if not name then return end
  local base = name ~= definition.name and find(name) or builtin.get("provider", name)
  if not base then invalid("%s extends %q, which is not known", where, name) end
  for k, v in pairs(base) do
    if merged[k] and definition[k] then
      definition[k] = merge(definition[k], v)
    elseif definition[k] == nil and not not_inherited[k] then
      definition[k] = v
    end
  end
end

--- Defines a provider, `keycycle.provider { … }`; providers/README.md says what it is.
--- Unknown fields raise InvalidConfigurationError.
---@param definition table taken, not copied
---@param find? fun(name: string): table? where to look for what it extends
---@return table
function provider.define(definition, find)
  if type(definition) ~= "table" then
    invalid("a provider is a table, not a %s", type(definition))
  end
  shape.name(definition.name, "provider.name")
  local where = "provider " .. definition.name
  check(definition, where)
  inherit(definition, where, find or provider.get)
  check_whole(definition, where)
  return setmetatable(definition, provider_mt)
end

--- The definition of that name, or nil.
function provider.get(name)
  return scripts.get("provider", name)
end

--- Names of the providers that have a host of their own, sorted.
function provider.names()
  local names = {}
  for _, name in ipairs(scripts.names "provider") do
    if provider.get(name).base_url then names[#names + 1] = name end
  end
  return names
end

--- The definition for a registration: a known provider, or any OpenAI-compatible
--- server where the program gives a base_url.
---@param name string
---@param base_url? string
function provider.resolve(name, base_url)
  local found = provider.get(name)
  if found and (found.base_url or base_url) then return found end
  if base_url then
    return provider.define { name = name, extends = "openai_compatible" }
  end
  errors.raise(errors.InvalidConfigurationError, {
    code = "unknown_provider", provider = name,
    message = ("unknown provider %q; known: %s; any other OpenAI-compatible server needs base_url")
      :format(name, table.concat(provider.names(), ", ")),
  })
end

--- The prefix of its environment variables: `env`, or the name in capitals.
function provider.env_prefix(definition)
  return definition.env or (ascii.upper(definition.name):gsub("[^%w]", "_"))
end

--- Names of a key's parameters that the provider knows, sorted, and their defaults
--- by name.
function provider.params(definition)
  local names, defaults = {}, {}
  for k, v in pairs(definition.params or {}) do
    names[#names + 1] = math.type(k) and v or k
    if not math.type(k) then defaults[k] = v end
  end
  table.sort(names)
  return names, defaults
end

--- Raises InvalidConfigurationError where a key lacks a parameter that base_url holds,
--- before a call is made.
---@param definition table
---@param name string as the provider is registered
---@param base_url string
---@param keys table entries of config.read_keys
function provider.check_params(definition, name, base_url, keys)
  local _, defaults = provider.params(definition)
  for _, param in ipairs(template.names(base_url)) do
    for i, key in ipairs(keys) do
      if not (key.params and key.params[param] or defaults[param]) then
        errors.invalid("provider %s: key %d has no parameter %s, which base_url needs: give it "
          .. "with the key, or set %s_%s_%d", name, i, param, provider.env_prefix(definition),
          ascii.upper(param), i)
      end
    end
  end
end

return provider
