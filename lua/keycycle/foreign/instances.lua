--- The instances of another client's class: one for each key, made at its first use.
---
--- They hold keys, so they are kept where no dump of a client shows them.
local ascii = require "keycycle.ascii"
local errors = require "keycycle.errors"
local functions = require "keycycle.foreign.functions"

local invalid, parameter = errors.invalid, functions.parameter

local instances = {}

local methods = {}
local instances_mt = { __name = "keycycle.instances", __index = methods }

local usable = { ready = true, probing = true }
local keys = { k = true, sk = true, auth = true }

-- Whether a parameter of that name is a key as a text.
local function is_key(name)
  local low = ascii.lower(name)
  return keys[low] or (low:find "key$" or low:find "token$" or low:find "secret$") ~= nil
end

-- What makes an instance, what comes before its arguments, and whether the first of
-- these is the key as a text.
--
-- A first parameter `self` or `cls` gets the class. By its name the next one is the key
-- (`api_key`, `key`, `token`, …) or a table. Where names tell nothing (a C function,
-- `...`), `new` gets the key and all else the table.
local function form_of(class)
  local make = functions.constructor(class) or class
  local named, first = make, 1
  if type(make) ~= "function" then
    named, first = getmetatable(make).__call, 2
  end
  local owned = first == 1 and functions.wants_self(named)
  if owned then first = 2 end
  local name = parameter(named, first)
  local by_key = make ~= class
  if name then by_key = is_key(name) end
  return make, owned and class or nil, by_key
end

-- The key and its parameters as one table; as a text and a table of the rest, if any.
local function arguments(by_key, api_key, params)
  if by_key then return api_key, next(params) ~= nil and params or nil end
  local all = { api_key = api_key }
  for name, value in pairs(params) do all[name] = value end
  return all
end

--- Makes an empty set.
---@param entry table the registered provider
---@param class any a function, or a table that can be called or has `new`
---@param construct? function its results are what the class is called with; it is given
--- the key's parameters `{ api_key =, … }`
function instances.new(entry, class, construct)
  local make, owner, by_key = form_of(class)
  return setmetatable({ entry = entry, make = make, owner = owner, by_key = by_key,
    construct = construct, of_key = {}, assigned = {} }, instances_mt)
end

local function make_one(self, api_key, params)
  local function call(...)
    if self.owner ~= nil then return self.make(self.owner, ...) end
    return self.make(...)
  end
  if self.construct then return call(self.construct(arguments(false, api_key, params))) end
  return call(arguments(self.by_key, api_key, params))
end

local kinds = { table = true, userdata = true, ["function"] = true }

-- What it raised or returned instead may show the key.
local function raise_unmade(self, index, why)
  local text = self.entry.pool:redact(tostring(why)) or "for a reason that cannot be shown"
  invalid("provider %s: no client could be made for key %d: %s", self.entry.name, index, text)
end

local function assign(object, path, name, value)
  for _, step in ipairs(path) do object = object[step] end
  object[name] = value
end

local function made(self, index, api_key, params)
  local ok, object, why = pcall(make_one, self, api_key, params)
  if object == "not enough memory" then error(object, 0) end
  if not ok then
    if errors.is_error(object) then error(object, 0) end
    raise_unmade(self, index, object)
  end
  if not kinds[type(object)] then
    raise_unmade(self, index, why or "its class returned a " .. type(object))
  end
  for _, given in ipairs(self.assigned) do
    assign(object, given.path, given.name, given.value)
  end
  return object
end

local function same(a, b)
  for name, value in pairs(a) do
    if b[name] ~= value then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

-- Those of keys that were removed go.
local function sweep(self)
  for index in pairs(self.of_key) do
    if not self.entry.pool:key(index) then self.of_key[index] = nil end
  end
end

--- The instance of a key, made where there is none yet or the key is another one now.
--- Raises InvalidConfigurationError where its class makes none.
---@param index integer
---@param api_key string
---@param params table the key's other parameters
function methods:get(index, api_key, params)
  sweep(self)
  local known = self.of_key[index]
  if known and known.api_key == api_key and same(known.params, params) then return known.object end
  local copy = {}
  for name, value in pairs(params) do copy[name] = value end
  local object = made(self, index, api_key, params)
  self.of_key[index] = { api_key = api_key, params = copy, object = object }
  return object
end

--- The instance to look at: that of the first usable key, else of the first that there
--- is. Takes no lease. Raises InvalidKeyError where there is no key.
function methods:sample()
  local entry = self.entry
  entry:check_open()
  local chosen
  for index = 1, entry.pool:key_count() do
    local key = entry.pool:key(index)
    if key and usable[key.state] then
      chosen = index
      break
    end
    chosen = chosen or key and index
  end
  local params, api_key
  if chosen then params, api_key = entry.pool:params(chosen) end
  if not api_key then
    errors.raise(errors.InvalidKeyError, { code = "no_key", provider = entry.name,
      message = "there is no key to make a client of" })
  end
  return self:get(chosen, api_key, params)
end

--- Sets a field of every instance, of those that are made later, too.
---@param path string[] where in it
---@param name any
---@param value any
function methods:set(path, name, value)
  local place = table.concat(path, ".")
  local list = {}
  for _, given in ipairs(self.assigned) do
    if given.name ~= name or table.concat(given.path, ".") ~= place then
      list[#list + 1] = given
    end
  end
  list[#list + 1] = { path = path, name = name, value = value }
  self.assigned = list
  for _, known in pairs(self.of_key) do assign(known.object, path, name, value) end
end

return instances
