--- How one route of a provider reads and writes: a protocol with what the adapter
--- says of its own, and stand-ins for what a user's protocol leaves out.
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local wire = {}

local CHARS_A_TOKEN = 4

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

local readers = setmetatable({}, { __mode = "k" })

-- `usage = { input_tokens = "meta.tokens.in" }` and functions are both served.
local function reader(given)
  if type(given) ~= "table" then return given end
  readers[given] = readers[given] or from_paths(given)
  return readers[given]
end

local function estimator(given)
  if type(given) ~= "table" then return given end
  return function(request)
    local sum = 0
    for _, path in pairs(given) do
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

-- What a user's protocol does not say itself.
local function complete(given)
  local usage = given.usage or given.decode and function(body)
    local answer = given.decode(body)
    return type(answer) == "table" and answer.usage or nil
  end
  local estimate = given.estimate or estimate_size
  return { encode = given.encode, decode = given.decode, event = given.event, usage = usage,
    estimate = estimate, estimate_input = given.estimate_input or estimate }
end

local completed = setmetatable({}, { __mode = "k" })

--- The protocol of that name in an adapter: a built-in module, or what the adapter
--- itself defines, completed; nil where it has none.
---@param adapter table a provider's definition
---@param name? string a name in its `protocols`
function wire.protocol(adapter, name)
  local given = name and adapter.protocols and adapter.protocols[name]
  if type(given) == "string" then return require("keycycle.protocol." .. given) end
  if type(given) ~= "table" then return nil end
  completed[given] = completed[given] or complete(given)
  return completed[given]
end

--- The native request of a neutral one, with what the adapter says of its dialect.
--- Raises KeycycleError (`bad_request`), which names the field.
---@param adapter table
---@param name string a name in its `protocols`
---@param request table neutral (API.md section 7)
---@return table `{ path, query, headers, json }`
function wire.encode(adapter, name, request)
  local protocol = wire.protocol(adapter, name)
  local ok, made = pcall(protocol.encode, request, (adapter.dialect or {})[name])
  if ok and type(made) == "table" then return made end
  if made == "not enough memory" then error(made, 0) end
  errors.raise(errors.KeycycleError, { code = "bad_request", provider = adapter.name,
    message = ok and "the protocol made no request" or tostring(made) })
end

--- The function that reads usage as the adapter says, or nil.
function wire.usage_reader(adapter)
  return reader(adapter.usage)
end

--- Tokens to reserve for a native request: what the adapter says, or its protocol.
function wire.estimate(adapter, protocol, request)
  local own = estimator(adapter.estimate)
  if own then
    local ok, tokens = pcall(own, request)
    tokens = ok and tonumber(tokens)
    if tokens and tokens >= 0 and tokens < math.huge then return tokens end
  end
  return protocol and protocol.estimate and protocol.estimate(request) or 0
end

return wire
