--- The arguments of a call of another client: read for what they say, and made ready for
--- each attempt. The caller's tables are never written to.
local arguments = {}

--- What they say of the request: the fields of tables; a list or a text are messages.
---@param args table packed
---@return table request
function arguments.said(args)
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

--- Those of one attempt: without the fields that are not to be sent, and with functions
--- that count what they are given.
---@param job table args (packed); called_back and own_error are set
---@param run table the state of the call
---@param used table what counts
---@return table args packed
function arguments.prepare(job, run, used)
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

return arguments
