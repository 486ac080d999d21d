--- Rotating clients of any Lua class: `client.chat.completions:create(…)` is that method
--- of the instance that is made with the chosen key.
---
--- A path that leads to functions can be walked; what is none is read from the instance
--- of the first usable key, as it is. Calling one takes a lease, makes the call, and has
--- call.lua do what the policy says of a failure, be it raised or returned. One that ends
--- the call is raised in both cases, as an error object (errors.lua) with status,
--- code and attempts: who wants `nil, err` calls it by keycycle.try. What no policy knows,
--- as `nil, "not found"`, is the caller's as it came, but for a key in it.
local arguments = require "keycycle.foreign.arguments"
local attempt = require "keycycle.foreign.attempt"
local blackout = require "keycycle.foreign.blackout"
local call = require "keycycle.call"
local errors = require "keycycle.errors"
local functions = require "keycycle.foreign.functions"
local info = require "keycycle.info"
local instances = require "keycycle.foreign.instances"
local options = require "keycycle.config.options"
local stream = require "keycycle.foreign.stream"

local foreign = {}

-- A client, or a step along a path of it -> { client, path, steps }; that of the client
-- has what all calls need, too.
local states = setmetatable({}, { __mode = "k" })

-- What is known beside the options of every call, and what only our own transport serves.
local own_options = { construct = "function", failure = "function" }
local own_transport = { "base_url", "headers", "request_timeout", "idle_timeout" }

local function check_options(entry, opts)
  options.check(opts, own_options)
  for _, name in ipairs(own_transport) do
    if opts[name] ~= nil then
      errors.invalid("option %s cannot reach a client of another's making: give it to the class "
        .. "with `construct` (provider %s)", name, entry.name)
    end
  end
  return opts
end

-- Gives the caller what the method returned.
local function hand_over(run, result)
  local used = result.stream
  local results = used.results
  if used.begun then
    local iterator
    results, iterator = stream.wrap(used, results, used.begun.first)
    used.info = info.keep(run, result, iterator)
  else
    local response = used:note_results(results)
    result.usage = used:close()
    if type(response) == "table" then info.keep(run, result, response) end
  end
  return table.unpack(results, 1, results.n)
end

local function perform(state, object, ...)
  local root = states[state.client]
  local entry = root.entry
  entry:check_open()
  local job = { root = root, path = state.path, object = object, args = table.pack(...),
    called_back = false, own_error = false }
  local request = arguments.said(job.args)
  local run = call.new(entry, { protocol = "chat" },
    { json = request, stream = request.stream == true }, root.opts)
  run.protocol = nil -- what comes back has any shape
  run.attempt = function(_, lease) return attempt.run(job, run, lease) end
  return hand_over(run, call.run(run))
end

local function call_node(node, ...)
  local state, first = states[node], ...
  local before = first ~= nil and states[first]
  if before and before.client == state.client then
    return perform(state, before.path, select(2, ...))
  end
  return perform(state, nil, ...)
end

local node_mt = { __name = "keycycle.foreign.client", __call = call_node }

-- A step to a method is a function, others can be walked further.
local function node_at(state, name, value)
  local known = state.steps[name]
  if known then return known end
  local path = table.move(state.path, 1, #state.path, 1, {})
  path[#path + 1] = name
  local node
  if type(value) == "function" then
    node = function(...) return call_node(node, ...) end
  else
    node = setmetatable({}, node_mt)
  end
  states[node] = { client = state.client, path = path, steps = {} }
  state.steps[name] = node
  return node
end

local steps = { string = true, number = true }

local function field_of(instance, path, name)
  local object = attempt.walk(instance, path, #path)
  if object ~= nil then return object[name] end
end

node_mt.__index = function(node, name)
  local state = states[node]
  local root = states[state.client]
  local value = blackout.call(root.entry.pool, field_of, root.instances:sample(), state.path, name)
  if steps[type(name)] and functions.within(value) then return node_at(state, name, value) end
  return value
end

--- A field that is set is set in every instance, of keys that come later, too.
node_mt.__newindex = function(node, name, value)
  local state = states[node]
  local root = states[state.client]
  blackout.call(root.entry.pool, root.instances.set, root.instances, state.path, name, value)
end

node_mt.__tostring = function(node)
  local state = states[node]
  local path = table.concat(state.path, ".")
  return ("keycycle client of %s%s"):format(states[state.client].entry.name,
    path == "" and "" or ": ." .. path)
end

--- Makes a rotating client of a class.
---
--- opts: those of every call that are not the transport's, and `construct`
--- (fun(params): …, whose results the class is called with) and `failure` (fun(…):
--- response, or nil where the results are no failure; of a raised error it is given
--- `nil, err`; a response without `status` means that the provider was not reached).
---@param entry table the registered provider
---@param class any a function, or a table that can be called or has `new`
---@param opts? table; a text is none: `require "client"` as the last argument gives a
--- second value, where it was found
function foreign.new(entry, class, opts)
  if type(opts) == "string" then opts = nil end
  opts = check_options(entry, opts or {})
  local client = setmetatable({}, node_mt)
  states[client] = { client = client, path = {}, steps = {}, entry = entry, opts = opts,
    failure = opts.failure, instances = instances.new(entry, class, opts.construct) }
  return client
end

return foreign
