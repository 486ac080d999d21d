--- What a call sends: the caller's table, and what its route adds. All is checked
--- before a key is taken; only what a key's parameters fill in is made per attempt.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local later = require "keycycle.later"
local provider = require "keycycle.provider"
local template = require "keycycle.call.template"

local multipart = later.module "keycycle.call.multipart"

local request = {}

local json = core.json
local plain = { string = true, number = true, boolean = true }
local JSON_TYPE = "application/json"

--- Raises KeycycleError (`bad_request`).
function request.bad(entry, fmt, ...)
  errors.raise(errors.KeycycleError, {
    code = "bad_request", provider = entry.name, message = fmt:format(...),
  })
end

local bad = request.bad

--- A value as JSON; what cannot be sent raises.
function request.encode(entry, value)
  local text, why = json.encode(value)
  if not text then bad(entry, "the request cannot be sent: %s", why) end
  return text
end

local encode = request.encode

--- What stands after the "?": one text or number a name.
function request.check_query(entry, query)
  for name, value in pairs(query or {}) do
    if type(name) ~= "string" or not plain[type(value)] then
      bad(entry, "the query's %s must be a text, a number or a boolean", tostring(name))
    end
  end
  return query
end

local function copy_of(given)
  local mt = getmetatable(given) -- what says that it is a list; it may be hidden
  local copy = setmetatable({}, type(mt) == "table" and mt or nil)
  for k, v in pairs(given) do copy[k] = v end
  return copy
end

-- The model of a request, filled in where the caller left it out, and the fields
-- that are not sent taken out. The caller's table is never written to.
local function with_model(entry, route, given, opts)
  local name = opts.model_param or (type(route.model) == "string" and route.model) or "model"
  local excluded = opts.excluded_params or entry.config.excluded_params
  local default = opts.model or entry.config.default_model
  local fill = route.model and given[name] == nil
  if not fill and route.model and type(given[name]) ~= "string" then
    bad(entry, "%s must be a text, not a %s", name, type(given[name]))
  end
  if fill and not default then
    bad(entry, "no model: give %s in the request or default_model", name)
  end
  if not fill and not excluded then return given, given[name] end
  local copy = copy_of(given)
  if fill then copy[name] = default end
  if excluded then
    for _, k in ipairs(excluded) do copy[k] = nil end
  end
  return copy, copy[name]
end

-- Names of a key's parameters, by the provider and by the program.
local function key_params(entry)
  local known = {}
  local names = provider.params(entry.adapter)
  for _, name in ipairs(names) do known[name] = true end
  for _, name in ipairs(entry.config.extra_params or {}) do known[name] = true end
  return known
end

-- `{video_id}` in a path is a field of the request, unless it is a key's parameter.
local function take_path_fields(entry, path, given)
  if not path:find("{", 1, true) then return given, nil end
  local params, values, out = key_params(entry), {}, given
  for _, name in ipairs(template.names(path)) do
    if not params[name] then
      local value = given[name]
      if not plain[type(value)] then bad(entry, "%s must be given: the path needs it", name) end
      if out == given then out = copy_of(given) end
      out[name], values[name] = nil, value
    end
  end
  return out, values
end

-- A field that is `{name}` and nothing else stands for the key's parameter.
local function is_param(value, params)
  local name = type(value) == "string" and value:match "^{([%l_][%w_]*)}$"
  return name and params[name]
end

local function fields_of_key(entry, given)
  local params, list
  for k, v in pairs(given) do
    if type(v) == "string" and v:byte() == 123 then -- "{"
      params = params or key_params(entry)
      if is_param(v, params) then
        list = list or {}
        list[k] = v
      end
    end
  end
  return list
end

local function rendered(entry, route, given)
  if route.form then
    return multipart.body(multipart.parts(given, function(value) return encode(entry, value) end))
  end
  return encode(entry, given), JSON_TYPE
end

-- The body as a text; or, where it depends on the key, how to make it.
local function set_body(out, entry, route, given)
  out.json = given
  local of_key = fields_of_key(entry, given)
  out.text, out.content_type = rendered(entry, route, given) -- what is wrong raises here
  if not of_key then return end
  out.text = nil
  function out.render(value_of)
    local copy = copy_of(given)
    for k, v in pairs(of_key) do
      local filled, missing = template.text(v, value_of)
      if missing then return nil, missing end
      copy[k] = filled
    end
    return rendered(entry, route, copy)
  end
end

local function with_fill(route, given)
  if not route.fill then return given end
  local copy = copy_of(given)
  for k, v in pairs(route.fill) do
    if copy[k] == nil then copy[k] = v end
  end
  return copy
end

--- Builds what one route sends of a caller's table.
---@param entry table the registered provider
---@param route table of its adapter
---@param given? table the caller's; never changed
---@param opts table the call's options
---@return table request `{ method, path, fields, query, json, text, content_type,
--- render, stream, lines, model }`
function request.build(entry, route, given, opts)
  given = given or {}
  local out = { method = route.method, path = route.path, query = route.query,
    lines = route.lines, model = route.class }
  if route.method == "GET" or route.method == "DELETE" then
    given, out.fields = take_path_fields(entry, route.path, given)
    out.query = with_fill({ fill = route.query }, request.check_query(entry, given))
    return out
  end
  local body, model = with_model(entry, route, given, opts)
  out.model = model or out.model
  out.stream = route.stream or body.stream == true
  if route.stream_path then
    if body.stream ~= nil then
      body = body == given and copy_of(given) or body
      body.stream = nil
    end
    if out.stream then out.path, out.query = route.stream_path, route.stream_query end
  end
  body, out.fields = take_path_fields(entry, out.path, body)
  set_body(out, entry, route, with_fill(route, body))
  return out
end

return request
