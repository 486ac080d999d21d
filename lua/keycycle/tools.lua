--- The tools of an agent: checked when they are given, called side by side.
---
--- Whatever goes wrong in a call is its answer to the model, which may then do better. Not
--- so a cancellation, the end of the run's time, and that of memory: these are raised.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local group = require "keycycle.task.group"
local schema = require "keycycle.agent.schema"
local task = require "keycycle.task"

local tools = {}

local methods = {}
local tools_mt = { __index = methods }

local json = core.json
local invalid = errors.invalid
local MOST_NAME = 64
local NO_MEMORY = "not enough memory" -- what Lua raises: no fault of the tool
local fields = { name = "string", description = "string", parameters = "table", run = "function",
  strict = "boolean" }

-- One tool as it is sent, and what its calls need.
local function read(given, where)
  if type(given) ~= "table" then invalid("%s must be a table, not a %s", where, type(given)) end
  for name, value in pairs(given) do
    local want = fields[name]
    if not want then
      invalid("%s has no field %q (known: %s)", where, tostring(name), errors.list(fields))
    end
    if type(value) ~= want then invalid("%s.%s must be a %s", where, name, want) end
  end
  local name = given.name
  if not name then invalid("%s.name is missing", where) end
  -- What every provider takes.
  if #name > MOST_NAME or not name:find "^[%a_][%w_-]*$" then
    invalid("%s.name is %q; a name has letters, digits, _ and -, begins with a letter or _, and is "
      .. "at most %d long", where, name, MOST_NAME)
  end
  if not given.run then invalid("%s.run is missing: the function that does it", where) end
  local parameters = given.parameters and schema.prepare(given.parameters, where .. ".parameters")
  return { name = name, description = given.description, strict = given.strict,
    parameters = parameters }, given.run
end

--- Takes an agent's tools, each `{ name, description, parameters, run }`; parameters is a
--- JSON schema of type object, without it there are no arguments. Raises
--- InvalidConfigurationError, naming the place.
---@param given? table list; copied
---@return table tools `list`: as a neutral request has them, nil where there are none
function tools.new(given)
  given = given or {}
  if type(given) ~= "table" or next(given) ~= nil and not schema.is_list(given) then
    invalid "tools must be a list of tools"
  end
  local list, by_name = {}, {}
  for i, one in ipairs(given) do
    local where = ("tools[%d]"):format(i)
    local sent, run = read(one, where)
    if by_name[sent.name] then invalid("%s.name is %q, as that of another", where, sent.name) end
    list[i], by_name[sent.name] = sent, { parameters = sent.parameters, run = run }
  end
  return setmetatable({ list = #list > 0 and list or nil, by_name = by_name }, tools_mt)
end

local function words_of(err)
  local mt = getmetatable(err)
  if type(err) ~= "table" or type(mt) == "table" and mt.__tostring then return tostring(err) end
  return err.message
end

-- What a raised value says, without where from.
local function message_of(err)
  local ok, text = pcall(words_of, err)
  if not ok or err == nil or type(text) ~= "string" then return "it failed without a message" end
  return (text:gsub("\nstack traceback:.*", ""))
end

-- What a tool's result becomes; nil and what is wrong.
local function content_of(result, err)
  if result == nil and err ~= nil then return nil, message_of(err) end
  if result == nil then result = json.null end
  local encoded, why = json.encode(result)
  if not encoded then return nil, "its result cannot be sent: " .. why end
  return type(result) == "string" and result or encoded
end

local function finish(ok, ...)
  if ok then return content_of(...) end
  local err = ...
  if errors.is(err, errors.CancelledError) or err == NO_MEMORY then error(err, 0) end
  return nil, message_of(err)
end

-- The answer to one call; nil and what is wrong.
local function answer(self, call)
  local tool = self.by_name[call.name]
  if not tool then
    return nil, ("there is no tool %q (there are: %s)"):format(call.name, errors.list(self.by_name))
  end
  if call.arguments_text then return nil, "the arguments are no JSON object" end
  local arguments = call.arguments or {}
  if tool.parameters then
    local problems = schema.problems(tool.parameters, arguments)
    if #problems > 0 then
      return nil, "the arguments do not fit: " .. table.concat(problems, "; ")
    end
  end
  -- A copy: what it does to it must not change what the model has said.
  return finish(pcall(tool.run, schema.copy(arguments)))
end

local function use(self, call)
  local started = core.mono()
  local content, wrong = answer(self, call)
  if wrong and not json.encode(wrong) then wrong = "it failed, and what it said is no UTF-8" end
  call.error, call.content = wrong, content or "Error: " .. wrong
  call.seconds = core.mono() - started
end

--- Raises TimeoutError when a run's time is over.
---@param deadline_at? number on core.mono's clock
---@return number? left seconds
function tools.check_deadline(deadline_at)
  local left = deadline_at and deadline_at - core.mono()
  if left and left <= 0 then
    errors.raise(errors.TimeoutError, { code = "timeout",
      message = "the deadline of the agent's run is over" })
  end
  return left
end

-- A task that raises when the time is over before `pending()` is 0.
local function watch(deadline_at, pending)
  return task.spawn(function()
    while pending() > 0 do
      local ok, err = pcall(task.sleep, tools.check_deadline(deadline_at))
      if not ok and pending() > 0 then error(err, 0) end
    end
  end)
end

--- Makes the calls, each in a task of its own, and waits for all of them. Raises
--- CancelledError when the run is cancelled, and TimeoutError when its time is over: then
--- the tools are cancelled, too.
---@param calls table list of { id, name, arguments, arguments_text }; each gets `content`
--- (what the model is told), `error` (nil: it went well) and `seconds`
---@param deadline_at? number on core.mono's clock
function methods:use(calls, deadline_at)
  local left, timer, list = #calls, nil, {}
  for i, call in ipairs(calls) do
    list[i] = function()
      use(self, call)
      left = left - 1
      if left == 0 and timer then timer:cancel() end
    end
  end
  if deadline_at and left > 0 then
    list[#list + 1] = false -- room for it: what was spawned must not be lost
    timer = watch(deadline_at, function() return left end)
    list[#list] = timer
  end
  local ok, err = pcall(group.gather, list)
  if ok then return end
  left = 0 -- the timer ends; where memory is too short for this, when it rings
  if timer then timer:cancel() end
  error(err, 0)
end

return tools
