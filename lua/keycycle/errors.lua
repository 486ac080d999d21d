--- The tree of error classes, and the objects that the library raises.
---
--- An error is a table with fields (`code`, `message`, `provider`, …) that reads
--- well with tostring. Nothing here sees a key: texts from outside are redacted
--- before they come here.
local errors = {}

local function text_of(err)
  local out = { err.class.name, ": ", err.message or err.code or "failed" }
  local more = {}
  if err.code then more[#more + 1] = err.code end
  if err.provider then more[#more + 1] = "provider " .. err.provider end
  if err.model and err.model ~= "" then more[#more + 1] = "model " .. err.model end
  if err.status then more[#more + 1] = "status " .. err.status end
  if err.retry_after then
    local form = err.retry_after < 100 and "retry after %.3g s" or "retry after %.0f s"
    more[#more + 1] = form:format(err.retry_after)
  end
  if #more > 0 then out[#out + 1] = " (" .. table.concat(more, ", ") .. ")" end
  return table.concat(out)
end

local error_mt = { __name = "keycycle.error", __tostring = text_of }
-- The class is found through the object, but is no field that a dump shows.
local class_of = setmetatable({}, { __mode = "k" })
error_mt.__index = function(err, key)
  if key == "class" then return class_of[err] end
  return nil
end

local class_mt = {
  __name = "keycycle.class",
  __tostring = function(class) return class.name end,
}

local function declare(name, parent)
  errors[name] = setmetatable({ name = name, parent = parent }, class_mt)
  return errors[name]
end

local base = declare "KeycycleError"
local key_error = declare("KeycycleKeyError", base)
declare("NoAvailableKeyError", key_error)
declare("KeyNotFoundError", key_error)
declare("InvalidKeyError", key_error)
declare("RateLimitError", base)
local configuration = declare("ConfigurationError", base)
declare("MissingEnvironmentVariableError", configuration)
declare("InvalidConfigurationError", configuration)
declare("ScriptError", configuration)
declare("APIError", base)
local transport = declare("TransportError", base)
declare("TimeoutError", transport)
declare("CancelledError", base)
declare("StoreError", base)

--- The names of all classes, for the module's face.
errors.names = {}
for name, value in pairs(errors) do
  if getmetatable(value) == class_mt then errors.names[#errors.names + 1] = name end
end
table.sort(errors.names)

--- Makes an error object. `retry_at` is filled in from `retry_after`.
---@param class table one of the classes of this module
---@param fields table code, message and what else is known; taken, not copied
---@return table
function errors.new(class, fields)
  if fields.retry_after and not fields.retry_at then
    fields.retry_at = os.time() + fields.retry_after
  end
  local err = setmetatable(fields, error_mt)
  class_of[err] = class
  return err
end

--- Makes and raises it. The object itself tells where from; no position is added.
function errors.raise(class, fields)
  error(errors.new(class, fields), 0)
end

--- The names in a table, sorted, for a message: "a, b", or "none".
---@param given table
---@return string
function errors.list(given)
  local names = {}
  for name in pairs(given) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return #names > 0 and table.concat(names, ", ") or "none"
end

--- Raises InvalidConfigurationError (`invalid`) with a formatted message.
---@param fmt string
function errors.invalid(fmt, ...)
  errors.raise(errors.InvalidConfigurationError, { code = "invalid", message = fmt:format(...) })
end

--- Raises KeycycleError (`bad_request`): a method was called without its object, as with a
--- dot.
---@param class string what the object is
---@param call string as it is meant
function errors.no_object(class, call)
  errors.raise(errors.KeycycleError, { code = "bad_request",
    message = ("that is no %s: call its methods with a colon, as %s"):format(class, call) })
end

--- Whether `value` is an error of `class` or of one below it.
---@param value any
---@param class table
---@return boolean
function errors.is(value, class)
  local c = class_of[value]
  while c do
    if c == class then return true end
    c = c.parent
  end
  return false
end

--- Whether `value` is an error object of this library at all.
function errors.is_error(value)
  return class_of[value] ~= nil
end

local by_code = {
  limited = "NoAvailableKeyError", queue_full = "NoAvailableKeyError",
  impossible = "RateLimitError", rate_limited = "RateLimitError",
  no_key = "InvalidKeyError",
  not_found = "KeyNotFoundError", ambiguous = "KeyNotFoundError",
  no_such_store = "ConfigurationError", store = "StoreError", corrupt = "StoreError",
  timeout = "TimeoutError",
  resolve = "TransportError", connect = "TransportError", tls = "TransportError",
  cut = "TransportError", garbage = "TransportError", too_large = "TransportError",
  insecure = "InvalidConfigurationError", bad_url = "InvalidConfigurationError",
  invalid = "InvalidConfigurationError", differs = "InvalidConfigurationError",
  foreign_host = "InvalidConfigurationError",
  cancelled = "CancelledError",
}

--- Makes the object for an error of the C module: `{ code, message, … }`.
---@param err table
---@param fields? table more fields; they win
---@return table
function errors.from_core(err, fields)
  local all = { code = err.code, message = err.message, retry_after = err.retry_after,
    limit = err.limit, max = err.max }
  for k, v in pairs(fields or {}) do all[k] = v end
  return errors.new(errors[by_code[err.code] or "KeycycleError"], all)
end

--- Calls `fn(...)`: its results, or nil and the error object or message.
function errors.try(fn, ...)
  local function finish(ok, ...)
    if ok then return ... end
    return nil, (...)
  end
  return finish(pcall(fn, ...))
end

return errors
