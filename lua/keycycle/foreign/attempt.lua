--- ONE attempt of a call of another client: its method, called with the instance of the
--- lease's key, to its results or to what it was refused.
local arguments = require "keycycle.foreign.arguments"
local blackout = require "keycycle.foreign.blackout"
local errors = require "keycycle.errors"
local functions = require "keycycle.foreign.functions"
local hook = require "keycycle.loader.hook"
local refusal = require "keycycle.foreign.refusal"
local stream = require "keycycle.foreign.stream"
local use = require "keycycle.foreign.use"

local attempt = {}

--- The object at the first `upto` steps of a path of an instance; nil where there is none.
function attempt.walk(object, path, upto)
  for i = 1, upto do
    if object == nil then return nil end
    object = object[path[i]]
  end
  return object
end

local walk = attempt.walk

local function raise_no_method(run, path)
  errors.raise(errors.InvalidConfigurationError, { code = "unknown_path",
    provider = run.entry.name,
    message = ("client.%s is no method of this client"):format(table.concat(path, ".")) })
end

-- The method, whether an object comes first, and which. As in Lua a colon passes the
-- object before it; a method that wants its object gets it after a dot, too.
local function method_of(job, run, lease)
  local path = job.path
  local instance = job.root.instances:get(lease.index, lease.api_key, lease.params)
  local owner = #path > 0 and walk(instance, path, #path - 1) or nil
  local fn = walk(instance, path, #path)
  if not functions.callable(fn) then raise_no_method(run, path) end
  if job.object then return fn, true, walk(instance, job.object, #job.object) end
  return fn, owner ~= nil and functions.wants_self(fn), owner
end

-- What a program's `failure` says of results: an answer, false (they are none), or nil
-- where it is not there or fails.
local function by_program(job, run, ...)
  local fn = job.root.failure
  if not fn then return nil end
  local ok, response = hook.call({ what = ("the failure function of %s"):format(run.entry.name),
    check = refusal.fault, pool = run.entry.pool }, fn, ...)
  if not ok then return nil end
  return response or false
end

local function refused_by_error(job, run, err)
  local own = job.own_error
  if own and rawequal(own[1], err) or errors.is_error(err) then error(err, 0) end
  local response = by_program(job, run, nil, err) or refusal.raised(err)
  if not response then blackout.raise(run.entry.pool, err) end
  return response
end

local function refused_by_results(job, run, results)
  local response = by_program(job, run, table.unpack(results, 1, results.n))
  if response == nil then response = refusal.returned(results) end
  return response or nil
end

-- Calls the method: its results, packed; or nil and the refusal.
local function invoke(job, run, used, fn, has_self, object)
  local args = arguments.prepare(job, run, used)
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
  if not results[1] then -- a failure that no policy knows is the caller's
    for i = 2, results.n do results[i] = blackout.value(run.entry.pool, results[i]) end
  end
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

--- Makes it. The result is one as of keycycle.attempt; of what worked, `stream` has the
--- method's `results`, owns the lease and, where they are an iterator, has `begun` it.
---@param job table root (the client's state), path, object (the path of what stands before
--- the colon), args
---@param run table the state of the call
---@param lease userdata stays the caller's unless it worked
function attempt.run(job, run, lease)
  local ok, fn, has_self, object = pcall(method_of, job, run, lease)
  if not ok then
    lease:cancel() -- nothing was sent
    blackout.raise(run.entry.pool, fn)
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

return attempt
