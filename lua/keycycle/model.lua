--- Models: one shape for every provider. A neutral request goes through the protocol
--- that the provider's chat speaks, and comes back as a neutral response or stream.
local call = require "keycycle.call"
local errors = require "keycycle.errors"
local model_methods = require "keycycle.model.methods"
local neutral = require "keycycle.protocol.neutral"
local options = require "keycycle.config.options"
local request = require "keycycle.call.request"
local wire = require "keycycle.call.wire"

local model = {}

local model_mt = { __name = "keycycle.model" }
local states = setmetatable({}, { __mode = "k" }) -- model -> what no dump is to show

--- What a request says beside its messages: for options.check; the protocols look at the values.
model.of_request = { tools = "any", tool_choice = "any", response_format = "any",
  temperature = "any", top_p = "any", max_tokens = "any", stop = "any", seed = "any",
  extra = "any" }

local of_request = model.of_request
local at_first = { id = "string" }
for name, want in pairs(of_request) do at_first[name] = want end

-- The one of two routes that comes first: what takes a model, then by name.
local function is_before(route, path, other, other_path)
  if (route.model ~= nil) ~= (other.model ~= nil) then return route.model ~= nil end
  return path < other_path
end

local function find_route(adapter, protocol, streams)
  local found, at
  for path, route in pairs(adapter.routes or {}) do
    if route.protocol == protocol and (route.stream == true) == streams
      and (not found or is_before(route, path, found, at)) then
      found, at = route, path
    end
  end
  return found
end

local function raise_lack(entry, format, ...)
  errors.raise(errors.InvalidConfigurationError, { code = "invalid", provider = entry.name,
    message = "it cannot be asked as a model: " .. format:format(...) })
end

-- The route that a request goes by, and whether it is a stream's: a way of its own is
-- taken where streams have one, and also where there is no other.
local function route_of(entry, stream)
  local adapter = entry.adapter
  for _, name in ipairs { "chat", "responses" } do
    local route = find_route(adapter, name, false)
    if not route or stream and not route.stream_path then
      route = find_route(adapter, name, true) or route
    end
    if route then
      local streams = stream or route.stream == true
      local protocol = wire.protocol(adapter, name) or {}
      for _, what in ipairs { "encode", streams and "event" or "decode" } do
        if not protocol[what] then raise_lack(entry, "its protocol %q has no %s", name, what) end
      end
      return route, streams
    end
  end
  raise_lack(entry, "none of its routes has the protocol \"chat\" or \"responses\"")
end

local function messages_of(entry, given)
  if type(given) == "string" then return { { role = "user", content = given } } end
  if type(given) ~= "table" then
    request.bad(entry, "a model is asked a text or a list of messages, not a %s", type(given))
  end
  if given.role ~= nil then
    request.bad(entry, "a model is asked a list of messages: put this one into { }")
  end
  return given
end

-- Built-in protocols read all of a request; a program's own is given what is sound.
local function check_for_own(entry, said)
  local ok, why = pcall(function()
    neutral.messages(said)
    neutral.tool_choice(said, neutral.tools(said))
  end)
  if why == "not enough memory" then error(why, 0) end
  if not ok then request.bad(entry, "%s", why) end
end

-- What is sent by a route of what its protocol made of the request.
local function build(entry, route, made, streams, opts)
  local json, own = options.merge(made.json), route
  if made.path then
    own = options.merge(route)
    own.path, own.stream_path, own.model = made.path, nil, nil -- the model is in the path
  elseif streams and route.stream_path then
    json.stream = true -- chooses the path, and is not sent
  end
  local built = request.build(entry, own, json, opts)
  built.stream, built.headers = streams, made.headers
  if made.query then built.query = options.merge(built.query, made.query) end
  return built
end

--- Raises that a method was called on what is none.
function model.raise_no_model()
  errors.no_object("model", "model:invoke(prompt)")
end

--- Whether a value is a model of one provider.
function model.is_model(value)
  return states[value] ~= nil
end

--- All that a call of a model needs, checked and encoded: what the caller's tables say
--- later is not seen any more. What is wrong is raised before anything is sent.
---@param self table a model
---@param prompt string|table a text, or a list of neutral messages
---@param opts? table of this call: they win over the model's
---@param stream boolean
---@return table prepared arguments of call.new: entry, route, request, opts
function model.prepare(self, prompt, opts, stream)
  local state = states[self] or model.raise_no_model()
  local entry = state.entry
  local all = options.merge(state.opts, options.check(opts or {}, of_request))
  entry:check_open()
  local route, streams = route_of(entry, stream)
  local said = { messages = messages_of(entry, prompt), model = all.model or self.id,
    stream = streams or nil }
  for name in pairs(of_request) do
    said[name], all[name] = all[name], nil
  end
  all.model = said.model
  if wire.protocol(entry.adapter, route.protocol).own then check_for_own(entry, said) end
  local made = wire.encode(entry.adapter, route.protocol, said)
  return { entry = entry, route = route, request = build(entry, route, made, streams, all),
    opts = all }
end

local function send(prepared)
  local run = call.new(prepared.entry, prepared.route, prepared.request, prepared.opts)
  return run, call.run(run)
end

model_mt.__index = model_methods.new(model.prepare, send)

model_mt.__tostring = function(self)
  return ("model %s of %s"):format(self.id or "(none)", self.provider)
end

--- Makes a model of a registered provider. It holds no key between calls. Raises
--- InvalidConfigurationError.
---@param entry table
---@param opts? table id (its name; default: the provider's default_model), options of a
--- call (keycycle.CallOptions), and fields of the request: tools, tool_choice,
--- response_format, temperature, top_p, max_tokens, stop, seed, extra
---@return table model id, provider and the methods invoke, ainvoke, invoke_stream,
--- ainvoke_stream
function model.new(entry, opts)
  opts = options.merge(options.check(opts or {}, at_first))
  local route = route_of(entry, false)
  local id = opts.id or opts.model or entry.config.default_model
  if (not id or id == "") and route.model then
    raise_lack(entry, "no model is named: give id, or default_model with the provider")
  end
  opts.id, opts.model = nil, nil
  local self = setmetatable({ id = id, provider = entry.name }, model_mt)
  states[self] = { entry = entry, opts = opts }
  return self
end

return model
