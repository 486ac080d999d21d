--- Rotating clients of any Lua class: `client.chat.completions:create(…)` is that method
--- of the instance that is made with the chosen key.
---
--- A path that leads to functions can be walked; what is none is read from the instance
--- of the first usable key, as it is. Calling one takes a lease, makes the call, and has
--- call.lua do what the policy says of a failure, be it raised or returned.
local call = require "keycycle.call"
local errors = require "keycycle.errors"
local functions = require "keycycle.foreign.functions"
local hook = require "keycycle.hook"
local instances = require "keycycle.foreign.instances"
local options = require "keycycle.options"
local proxy = require "keycycle.proxy"
local refusal = require "keycycle.foreign.refusal"
local stream = require "keycycle.foreign.stream"
local use = require "keycycle.foreign.use"

local foreign = {}

local callable, invalid = functions.callable, errors.invalid

-- A client, or a step along a path of it -> { client, path, parent, steps }; that of the
-- client has what all calls need, too.
local states = setmetatable({}, { __mode = "k" })

foreign.is_class = instances.is_class

-- Options that our own transport serves: a client has its own.
local own_transport = { "base_url", "headers", "request_timeout", "idle_timeout" }

local function check_options(entry, opts)
  local rest = {}
  for name, value in pairs(type(opts) == "table" and opts or {}) do rest[name] = value end
  if opts ~= nil and type(opts) ~= "table" then rest = opts end
  for _, name in ipairs { "construct", "failure" } do
    if type(rest) == "table" and rest[name] ~= nil then
      if type(rest[name]) ~= "function" then invalid("option %s must be a function", name) end
      rest[name] = nil
    end
  end
  options.check(rest)
  for _, name in ipairs(own_transport) do
    if rest[name] ~= nil then
      invalid("option %s cannot reach a client of another's making: give it to the class with "
        .. "`construct` (provider %s)", name, entry.name)
    end
  end
  return rest
end

-- What the arguments say of the request: fields of tables, a list or a text as messages.
local function said(args)
  local request = {}
  for i = 1, args.n do
    local value = args[i]
    if type(value) == "string" or type(value) == "table" and rawget(value, 1) ~= nil then
      request.messages = request.messages or value
    elseif type(value) == "table" then
      for name, field in next, value do
        if type(name) == "string" and request[name] == nil then request[name] = field end
      end
    end
  end
  return request
end

-- A plain table without the fields that are not sent, its functions as `wrap` makes
-- them; itself where there are neither.
local function prepared(given, excluded, wrap)
  local copy
  local function change(name, value)
    if not copy then
      copy = {}
      for k, v in next, given do copy[k] = v end
      end
    copy[name] = value
  end
  for _, name in ipairs(excluded or {}) do
    if given[name] ~= nil then change(name, nil) end
  end
  for name, value in next, given do
    if type(value) == "function" then change(name, wrap(value)) end
  end
  return copy or given
end

-- A function that the client calls back: what it is given is counted, and after that
-- nothing is tried again. What it raises is the program's own.
local function watched(job, used)
  local function result(ok, ...)
    if ok then return ... end
    job.own_error = { (...) }
    error((...), 0)
  end
  return function(fn)
    return function(...)
      job.called_back = true
      used:note(...)
      return result(pcall(fn, ...))
    end
  end
end

local function arguments(job, run, used)
  local args, wrap = job.args, watched(job, used)
  local excluded = run.opts.excluded_params or run.entry.config.excluded_params
  local all = { n = args.n }
  for i = 1, args.n do
    local value = args[i]
    if type(value) == "function" then value = wrap(value) end
    if type(value) == "table" and getmetatable(value) == nil then
      value = prepared(value, excluded, wrap)
    end
    all[i] = value
  end
  return all
end

-- The object at a path of an instance.
local function walk(object, path, upto)
  for i = 1, upto do
    if object == nil then return nil end
    object = object[path[i]]
  end
  return object
end

local function raise_no_method(run, path)
  errors.raise(errors.InvalidConfigurationError, { code = "unknown_path",
    provider = run.entry.name,
    message = ("client.%s is no method of this client"):format(table.concat(path, ".")) })
end

-- The method, whether an object comes first, and which. As in Lua a colon passes the
-- object before it; a method that wants its object gets it after a dot, too.
local function method_of(job, run, lease)
  local path = job.path
  local instance = job.state.instances:get(lease.index, lease.api_key, lease.params)
  local owner = #path > 0 and walk(instance, path, #path - 1) or nil
  local fn = walk(instance, path, #path)
  if not callable(fn) then raise_no_method(run, path) end
  if job.object then return fn, true, walk(instance, job.object, #job.object) end
  return fn, owner ~= nil and functions.wants_self(fn), owner
end

-- What a program's `failure` says of results: an answer, false (they are none), or nil
-- where it is not there or fails.
local function by_program(job, run, ...)
  local fn = job.state.failure
  if not fn then return nil end
  local ok, response = hook.call({ what = ("the failure function of %s"):format(run.entry.name),
    check = refusal.fault, pool = run.entry.pool }, fn, ...)
  if not ok then return nil end
  return response or false
end

-- A raised error that is no refusal is raised again as it was, but for a key in a text.
local function raise_again(run, err)
  if type(err) == "string" then err = run.entry.pool:redact(err) or err end
  error(err, 0)
end

local function refused_by_error(job, run, err)
  local own = job.own_error
  if own and rawequal(own[1], err) or errors.is_error(err) then error(err, 0) end
  local response = by_program(job, run, nil, err) or refusal.raised(err)
  if not response then raise_again(run, err) end
  return response
end

local function refused_by_results(job, run, results)
  local response = by_program(job, run, table.unpack(results, 1, results.n))
  if response == nil then response = refusal.returned(results) end
  return response or nil
end

-- Calls the method: its results, packed; or nil and the refusal.
local function invoke(job, run, used, fn, has_self, object)
  local args = arguments(job, run, used)
  local results
  if has_self then
    results = table.pack(pcall(fn, object, table.unpack(args, 1, args.n)))
  else
    results = table.pack(pcall(fn, table.unpack(args, 1, args.n)))
  end
  if not results[1] then return nil, refused_by_error(job, run, results[2]) end
  results = table.pack(table.unpack(results, 2, results.n))
  local response = refused_by_results(job, run, results)
  if response then return nil, response end
  return results
end

-- An iterator, with its first piece read; or nil and the refusal.
local function begin_stream(job, run, results)
  local ok, first = stream.begin(results)
  if not ok then return nil, refused_by_error(job, run, first) end
  if not first or first[1] ~= nil then return { first = first } end
  local response = refusal.returned(first)
  if response then return nil, response end
  return { first = first }
end

-- ONE attempt, as attempt.run: the results and what becomes of the lease are in `stream`.
local function attempt(job, run, lease)
  local ok, fn, has_self, object = pcall(method_of, job, run, lease)
  if not ok then
    lease:cancel() -- nothing was sent
    error(fn, 0)
  end
  local used = use.new(run, lease)
  local results, refused = invoke(job, run, used, fn, has_self, object)
  local begun
  if results and stream.is_one(results) then begun, refused = begin_stream(job, run, results) end
  if refused then
    if job.called_back then run.max_retries = 0 end -- a part of the answer is there already
    return refusal.result(refused, run.entry.pool)
  end
  used.results, used.begun = results, begun
  return { ok = true, stream = used:take() }
end

-- Gives the caller what the method returned.
local function hand_over(run, result)
  local used = result.stream
  local results = used.results
  if used.begun then
    local iterator
    results, iterator = stream.wrap(used, results, used.begun.first)
    used.info = proxy.keep_info(run, result, iterator)
  else
    local response = used:note_results(results)
    result.usage = used:close()
    if type(response) == "table" then proxy.keep_info(run, result, response) end
  end
  return table.unpack(results, 1, results.n)
end

local function perform(state, object, ...)
  local root = states[state.client]
  local entry = root.entry
  entry:check_open()
  local job = { state = root, path = state.path, object = object, args = table.pack(...),
    called_back = false, own_error = false }
  local request = said(job.args)
  local run = call.new(entry, { protocol = "chat" },
    { json = request, stream = request.stream == true }, root.opts)
  run.protocol = nil -- what comes back has any shape
  run.attempt = function(_, lease) return attempt(job, run, lease) end
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

node_mt.__index = function(node, name)
  local state = states[node]
  local value = walk(states[state.client].instances:sample(), state.path, #state.path)
  if value ~= nil then value = value[name] end
  if steps[type(name)] and functions.within(value) then return node_at(state, name, value) end
  return value
end

--- A field that is set is set in every instance, of keys that come later, too.
node_mt.__newindex = function(node, name, value)
  local state = states[node]
  states[state.client].instances:set(state.path, name, value)
end

node_mt.__tostring = function(node)
  local state = states[node]
  local path = table.concat(state.path, ".")
  return ("keycycle client of %s%s"):format(states[state.client].entry.name,
    path == "" and "" or ": ." .. path)
end

--- Makes a rotating client of a class.
---
--- opts: those of API.md section 4 that are not the transport's, and `construct`
--- (fun(params): …, whose results the class is called with) and `failure` (fun(…):
--- response, or nil where the results are no failure; of a raised error it is given
--- `nil, err`; a response without `status` means that the provider was not reached).
---@param entry table the registered provider
---@param class any a function, or a table that can be called or has `new`
---@param opts? table
function foreign.new(entry, class, opts)
  local checked = check_options(entry, opts)
  opts = opts or {}
  local client = setmetatable({}, node_mt)
  states[client] = { client = client, path = {}, steps = {}, entry = entry, opts = checked,
    failure = opts.failure, instances = instances.new(entry, class, opts.construct) }
  return client
end

return foreign
