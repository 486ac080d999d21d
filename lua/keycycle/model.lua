--- Models: one shape for every provider. A neutral request goes through the protocol
--- that the provider's chat speaks, and comes back as a neutral response or stream.
local call = require "keycycle.call"
local errors = require "keycycle.errors"
local model_answer = require "keycycle.model_answer"
local options = require "keycycle.options"
local request = require "keycycle.request"
local task = require "keycycle.task"
local wire = require "keycycle.wire"

local model = {}

local methods = {}
local model_mt = { __name = "keycycle.model", __index = methods }
local states = setmetatable({}, { __mode = "k" }) -- model -> what no dump is to show

-- What a request says beside its messages; the protocols check the values.
local neutral = { tools = "any", tool_choice = "any", response_format = "any",
  temperature = "any", top_p = "any", max_tokens = "any", stop = "any", seed = "any",
  extra = "any" }
local at_first = { id = "string" }
for name, want in pairs(neutral) do at_first[name] = want end

local function copy(given)
  local out = {}
  for k, v in pairs(given or {}) do out[k] = v end
  return out
end

-- `base` with what `more` says; neither is written to.
local function merge(base, more)
  local all = copy(base)
  for k, v in pairs(more) do all[k] = v end
  return all
end

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

-- What is sent by a route of what its protocol made of the request.
local function build(entry, route, made, streams, opts)
  local json, own = copy(made.json), route
  if made.path then
    own = copy(route)
    own.path, own.stream_path, own.model = made.path, nil, nil -- the model is in the path
  elseif streams and route.stream_path then
    json.stream = true -- chooses the path, and is not sent
  end
  local built = request.build(entry, own, json, opts)
  built.stream, built.headers = streams, made.headers
  if made.query then built.query = merge(built.query, made.query) end
  return built
end

local function state_of(self)
  local state = states[self]
  if state then return state end
  errors.raise(errors.KeycycleError, { code = "bad_request",
    message = "that is no model: call its methods with a colon, as model:invoke(prompt)" })
end

--- All that a call of a model needs, checked and encoded: what the caller's tables say
--- later is not seen any more. Raises what API.md section 5 says, before anything is sent.
---@param self table a model
---@param prompt string|table a text, or a list of neutral messages
---@param opts? table of this call: they win over the model's
---@param stream boolean
---@return table prepared arguments of call.new: entry, route, request, opts
function model.prepare(self, prompt, opts, stream)
  local state = state_of(self)
  local entry = state.entry
  local all = merge(state.opts, options.check(opts or {}, neutral))
  entry:check_open()
  local route, streams = route_of(entry, stream)
  local said = { messages = messages_of(entry, prompt), model = all.model or self.id,
    stream = streams or nil }
  for name in pairs(neutral) do
    said[name], all[name] = all[name], nil
  end
  all.model = said.model
  local made = wire.encode(entry.adapter, route.protocol, said)
  return { entry = entry, route = route, request = build(entry, route, made, streams, all),
    opts = all }
end

local function send(prepared)
  local run = call.new(prepared.entry, prepared.route, prepared.request, prepared.opts)
  return run, call.run(run)
end

--- Asks the model. Blocks, or yields in a task.
---@param prompt string|table a text, or a list of neutral messages; never written to
---@param opts? table options of a call (API.md section 4) and fields of the request
---@return table response neutral (API.md section 7); tostring gives its content
function methods:invoke(prompt, opts)
  return model_answer.response(send(model.prepare(self, prompt, opts, false)))
end

--- Asks it and returns a task at once, whose `await` gives the response, or raises.
---@return table task
function methods:ainvoke(prompt, opts)
  local ok, prepared = pcall(model.prepare, self, prompt, opts, false)
  return task.spawn(function()
    if not ok then error(prepared, 0) end
    return model_answer.response(send(prepared))
  end)
end

--- Asks it for a stream, `for text, chunk in model:invoke_stream(prompt) do`: returns
--- when the first content is there, and raises what comes before. The stream is closed
--- by `for`, by `<close>`, by `close`, and at its end. `stream:text()` is the text of the
--- rest, `stream:response()` the response of what was read.
---@return table stream, nil, nil, table stream
function methods:invoke_stream(prompt, opts)
  local stream = model_answer.stream(send(model.prepare(self, prompt, opts, true)))
  return stream, nil, nil, stream
end

--- The same, by its name in a task: there it yields.
methods.ainvoke_stream = methods.invoke_stream

model_mt.__tostring = function(self)
  return ("model %s of %s"):format(self.id or "(none)", self.provider)
end

--- Makes a model of a registered provider. It holds no key between calls. Raises
--- InvalidConfigurationError.
---@param entry table
---@param opts? table id (its name; default: the provider's default_model), options of a
--- call (API.md section 4), and fields of the request: tools, tool_choice,
--- response_format, temperature, top_p, max_tokens, stop, seed, extra
---@return table model id, provider and the methods invoke, ainvoke, invoke_stream,
--- ainvoke_stream
function model.new(entry, opts)
  opts = copy(options.check(opts or {}, at_first))
  local route = route_of(entry, false)
  local id = opts.id or opts.model or entry.config.default_model
  if not id and route.model then
    raise_lack(entry, "no model is named: give id, or default_model with the provider")
  end
  opts.id, opts.model = nil, nil
  local self = setmetatable({ id = id, provider = entry.name }, model_mt)
  states[self] = { entry = entry, opts = opts }
  return self
end

return model
