--- Agents: a model that may call tools, and the conversation they have.
---
--- A run asks the model, makes the calls of tools that it wants, tells it their results and
--- asks again, until it answers without any. Each call of the model is a call like others:
--- it takes a key of its own, so that keys rotate in the middle of a conversation.
local agent_stream = require "keycycle.agent.stream"
local conversation = require "keycycle.agent.conversation"
local errors = require "keycycle.errors"
local printer = require "keycycle.agent.printer"
local task = require "keycycle.task"
local tools = require "keycycle.tools"

local agent = {}

local methods = {}
local agent_mt = { __name = "keycycle.Agent", __index = methods }

local invalid = errors.invalid
local MOST_STEPS = 10
local fields = { model = true, instructions = true, tools = true, history = true,
  max_steps = true }

local function check_fields(given)
  if type(given) ~= "table" then invalid("Agent needs a table, not a %s", type(given)) end
  for name in pairs(given) do
    if not fields[name] then
      invalid("an agent has no field %q (known: %s)", tostring(name), errors.list(fields))
    end
  end
end

-- Anything that can be asked is a model: a wrapper's, a fallback chain, a test's double.
local function model_in(model)
  if type(model) ~= "table" or type(model.invoke) ~= "function" then
    invalid "an agent's model is a model: wrapper:get_model(…) or wrapper:fallback { … }"
  end
  return model
end

local function instructions_in(given)
  if given == nil or type(given) == "string" then return given end
  if type(given) ~= "table" then invalid("instructions are a text, not a %s", type(given)) end
  for i, line in ipairs(given) do
    if type(line) ~= "string" then invalid("instructions[%d] must be a text", i) end
  end
  return table.concat(given, "\n")
end

local function steps_in(given)
  if given == nil then return MOST_STEPS end
  local whole = math.type(given) and math.tointeger(given)
  if not whole or whole < 1 then invalid "max_steps must be a whole number above zero" end
  return whole
end

--- Makes an agent.
---
--- given: model; instructions (a text, or a list of lines: the system message of each
--- run); tools (a list of `{ name, description, parameters = <JSON schema>, run =
--- function(args) … end }`, see keycycle.tools; what `run` returns is the answer: a text as it
--- is, anything else as JSON; what it raises, or returns as `nil, message`, is told to the
--- model as an error); max_steps (calls of the model in one run, default 10);
--- history (messages that the conversation begins with).
---
--- An agent remembers: what is said in a run that ends well is added to its `history`, which
--- the next run begins with; a run that raises leaves it as it was. `history = false`: it
--- remembers nothing. Runs side by side each begin with the history of that moment, hear
--- nothing of each other, and are added whole. The caller's tables are copied.
--- Raises InvalidConfigurationError.
---@param given table
function agent.new(given)
  check_fields(given)
  local remembers, first = given.history ~= false, {}
  if type(given.history) ~= "boolean" then
    first = conversation.messages(given.history or {}, invalid, "history")
  end
  return setmetatable({
    model = model_in(given.model), instructions = instructions_in(given.instructions),
    tools = tools.new(given.tools), max_steps = steps_in(given.max_steps),
    remembers = remembers, first = first, history = first,
  }, agent_mt)
end

local function see_through(run)
  repeat
    run:call_tools(run:take(run.agent.model:invoke(run.messages, run:options())))
  until run:is_over()
  return run:finish()
end

--- Asks, and sees all calls of tools to their end. Blocks, or yields in a task.
---
--- `messages` is the whole conversation but for the instructions: what `history =` takes.
--- `steps` has one entry a call of the model: `response`, `info` (keycycle.info of it: key_index,
--- attempts, …) and `tools`, a list of `{ id, name, arguments, content, error, seconds }`:
--- what the model was told, and why (nil: it went well). `usage` is the sum over all steps.
--- `finish_reason` is the last response's, or "max_steps" where the model still wanted
--- tools: these were called, and another run ("Go on.") continues.
--- Raises what the model raises; CancelledError, TimeoutError.
---@param prompt string|table a text (of the user), or a list of messages
---@param opts? table for each call of the model (keycycle.AskOptions), but `deadline` is for the
--- whole run, and `tool_choice` for its first call
---@return table result `{ content, messages, steps, usage, finish_reason }`; prints as its
--- content
function methods:run(prompt, opts)
  return see_through(conversation.new(self, prompt, opts))
end

--- The same as a task, whose `await` gives the result, or raises. It begins with the prompt
--- and the history as they are now.
function methods:arun(prompt, opts)
  return task.spawn_prepared(see_through, conversation.new, self, prompt, opts)
end

--- The same, read as it comes: `for text, chunk in agent:run_stream(prompt) do`. `text` is ""
--- where a chunk has none. Chunks are the model's (neutral), and `{ tool = call }` twice a call
--- of a tool: before it, and with its `content`, `error` and `seconds` after it.
---
--- The stream has `:result()` (reads on to the end: what `run` returns), `:text()` (the
--- rest) and `:close()`, which `break` does in a generic `for`: the run is then as if it had
--- never been. The first request is sent at once and its error raised here.
function methods:run_stream(prompt, opts)
  return agent_stream.open(conversation.new(self, prompt, opts))
end

--- Streams the answer to standard output. On a terminal the calls of tools are shown, too
--- (dim, unless NO_COLOR is set); elsewhere there is the text alone.
---@return table result what `run` returns
function methods:print_response(prompt, opts)
  local stream <close> = self:run_stream(prompt, opts)
  return printer.print(stream, io.output())
end

--- Forgets what was said: the history is again what the agent was made with.
function methods:reset()
  self.history = self.first
end

return agent
