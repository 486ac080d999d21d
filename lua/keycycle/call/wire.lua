--- How one route of a provider reads and writes: a protocol with what the adapter
--- says of its own, and stand-ins for what a user's protocol leaves out.
local address = require "keycycle.call.address"
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local hook = require "keycycle.loader.hook"

local wire = {}

local CHARS_A_TOKEN = 4
local MOST = 2 ^ 53 -- what counts hold

-- Nothing is known of the request but its size.
local function estimate_size(request)
  local text = core.json.encode(request)
  return text and -(-#text // CHARS_A_TOKEN) or 0
end

local function at_path(value, path)
  for step in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    value = value[step] or value[math.tointeger(step) or step]
  end
  return value
end

local function from_paths(paths)
  return function(body)
    local used, any = {}, false
    for name, path in pairs(paths) do
      local n = math.tointeger(at_path(body, path))
      used[name], any = n, any or n ~= nil
    end
    return any and used or nil
  end
end

local function sum_of_paths(places)
  return function(request)
    local sum = 0
    for _, path in pairs(places) do
      local value = at_path(request, path)
      if type(value) == "string" then
        sum = sum + -(-#value // CHARS_A_TOKEN)
      else
        sum = sum + (math.tointeger(value) or 0)
      end
    end
    return sum
  end
end

local functions = setmetatable({}, { __mode = "k" }) -- functions by the tables they read by

-- `usage = { input_tokens = "meta.tokens.in" }` and functions are both served.
local function as_function(given, make)
  if type(given) ~= "table" then return given end
  functions[given] = functions[given] or make(given)
  return functions[given]
end

-- What is wrong with an estimate; nothing: it is left to others.
local function no_count(value)
  if value == nil or math.type(value) and value >= 0 and value <= MOST then return nil end
  return ("it answered %s, which is no count of tokens"):format(math.type(value) and value
    or "a " .. type(value))
end

-- Where a user's estimate fails the size decides.
local function guarded_estimate(what, fn)
  return function(request)
    local _, tokens = hook.call({ what = what, check = no_count }, fn, request)
    return tokens or estimate_size(request)
  end
end

local chunk_fields = { text = "string", reasoning = "string", finish_reason = "string",
  tool_call = "table", usage = "table" }
local request_fields = { json = true, path = true, query = true, headers = true }

-- What a user's `event` returned; what is no chunk raises.
local function checked_chunk(chunk)
  if chunk == nil then return nil end
  if type(chunk) ~= "table" then error("event answered a " .. type(chunk) .. ", not a chunk", 0) end
  for name, want in pairs(chunk_fields) do
    if chunk[name] ~= nil and type(chunk[name]) ~= want then
      error(("event answered %s = a %s, not a %s"):format(name, type(chunk[name]), want), 0)
    end
  end
  return chunk
end

-- What a user's protocol does not say itself, and what guards against its faults:
-- `usage` and `event` may raise, the estimates do not.
local function complete(given, name)
  local usage = given.usage or given.decode and function(body)
    local answer = given.decode(body)
    if type(answer) ~= "table" then error("decode answered a " .. type(answer), 0) end
    return answer.usage
  end
  local what = ("provider %s: estimate"):format(name)
  local estimate = given.estimate and guarded_estimate(what, given.estimate) or estimate_size
  local input = given.estimate_input
  return { own = true, encode = given.encode, decode = given.decode, usage = usage,
    event = given.event and function(kind, data, state)
      return checked_chunk(given.event(kind, data, state))
    end,
    estimate = estimate, estimate_input = input and guarded_estimate(what, input) or estimate }
end

local completed = setmetatable({}, { __mode = "k" })
local builtins = {} -- protocols of this library, by name

--- The protocol of that name in an adapter: a built-in module, or what the adapter
--- itself defines, completed; nil where it has none.
---@param adapter table a provider's definition
---@param name? string a name in its `protocols`
function wire.protocol(adapter, name)
  local given = name and adapter.protocols and adapter.protocols[name]
  if type(given) == "string" then
    builtins[given] = builtins[given] or require("keycycle.protocol." .. given)
    return builtins[given]
  end
  if type(given) ~= "table" then return nil end
  completed[given] = completed[given] or complete(given, adapter.name or "?")
  return completed[given]
end

-- What is wrong with what a user's `encode` made; it says no more than a route may.
local function encode_fault(made, auth)
  for name in pairs(made) do
    if not request_fields[name] then
      return ("what encode makes has no field %q (known: %s)"):format(tostring(name),
        errors.list(request_fields))
    end
  end
  for _, name in ipairs { "query", "headers" } do
    if made[name] ~= nil and type(made[name]) ~= "table" then return name .. " is no table" end
  end
  local why
  if made.path ~= nil then
    why = type(made.path) ~= "string" and "is no text" or address.path_fault(made.path)
    if why then return "path " .. why end
  end
  for name, value in pairs(made.headers or {}) do
    why = address.header_fault(name, value, auth)
    if why then return ("headers.%s %s"):format(name, why) end
  end
  return nil
end

--- The native request of a neutral one, with what the adapter says of its dialect.
--- Raises KeycycleError (`bad_request`), which names the field.
---@param adapter table
---@param name string a name in its `protocols`
---@param request table neutral (keycycle.Request)
---@return table `{ path, query, headers, json }`
function wire.encode(adapter, name, request)
  local protocol = wire.protocol(adapter, name)
  local ok, made = pcall(protocol.encode, request, (adapter.dialect or {})[name])
  if made == "not enough memory" then error(made, 0) end
  local why = not ok and tostring(made) or nil
  if ok then
    why = type(made) ~= "table" and "the protocol made no request"
      or protocol.own and encode_fault(made, adapter.auth) or nil
  end
  if not why then return made end
  errors.raise(errors.KeycycleError, { code = "bad_request", provider = adapter.name,
    message = why })
end

--- The function that reads usage as the adapter says, or nil.
function wire.usage_reader(adapter)
  return as_function(adapter.usage, from_paths)
end

--- Tokens to reserve for a native request: what the adapter says, or its protocol.
---@param input? integer what the protocol's estimate_input said of it
function wire.estimate(adapter, protocol, request, input)
  local own = as_function(adapter.estimate, sum_of_paths)
  if own then
    local what = ("provider %s: estimate"):format(adapter.name or "?")
    local _, tokens = hook.call({ what = what, check = no_count }, own, request)
    if tokens then return tokens end
  end
  return protocol and protocol.estimate and protocol.estimate(request, input) or 0
end

return wire
