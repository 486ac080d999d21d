--- One run of an agent: its messages, its steps, and what they come to.
local core = require "keycycle.core"
local collect = require "keycycle.protocol.collect"
local errors = require "keycycle.errors"
local info = require "keycycle.info"
local log = require "keycycle.log"
local schema = require "keycycle.agent.schema"
local tools = require "keycycle.tools"

local conversation = {}

local methods = {}
local conversation_mt = { __index = methods }

local result_mt = {
  __name = "keycycle.result",
  __tostring = function(result) return result.content end,
}

local invalid = errors.invalid

-- What keeps a message from being copied: it would have no end.
local MOST_DEPTH = 100

--- A copy of a list of messages, whatever the caller does to them later. Their content is
--- checked by who sends them.
---@param given table
---@param raise fun(format: string, ...) says what is wrong
---@param what string what they are, for the error
function conversation.messages(given, raise, what)
  if type(given) ~= "table" or next(given) ~= nil and not schema.is_list(given) then
    raise("%s must be a list of messages", what)
  end
  local list = {}
  for i, message in ipairs(given) do
    if type(message) ~= "table" or type(message.role) ~= "string" then
      raise("%s[%d] must be a message: { role =, content = }", what, i)
    end
    list[i] = schema.copy(message, MOST_DEPTH) or raise("%s[%d] is nested too deep", what, i)
  end
  return list
end

local function bad_request(format, ...)
  errors.raise(errors.KeycycleError, { code = "bad_request", message = format:format(...) })
end

local function prompt_in(prompt)
  if type(prompt) == "string" then return { { role = "user", content = prompt } } end
  if type(prompt) ~= "table" then
    bad_request("a prompt is a text or a list of messages, not a %s", type(prompt))
  end
  return conversation.messages(prompt, bad_request, "prompt")
end

local function append(list, more)
  return table.move(more, 1, #more, #list + 1, list)
end

--- Begins a run.
---@param agent table
---@param prompt string|table
---@param opts? table
function conversation.new(agent, prompt, opts)
  if opts ~= nil and type(opts) ~= "table" then
    invalid("options are a table, not a %s", type(opts))
  end
  opts = opts or {}
  if opts.tools ~= nil then invalid "the tools of an agent are given when it is made" end
  local said, messages = prompt_in(prompt), {}
  if agent.instructions then messages[1] = { role = "system", content = agent.instructions } end
  local first = #messages + 1
  append(messages, agent.history)
  local own = #messages + 1
  local deadline = math.type(opts.deadline) and opts.deadline
  return setmetatable({ agent = agent, opts = opts, messages = append(messages, said),
    first = first, own = own, steps = {}, deadline_at = deadline and core.mono() + deadline,
  }, conversation_mt)
end

--- The options of the next call of the model. Raises TimeoutError when the run's time is
--- over.
function methods:options()
  local opts = {}
  for k, v in pairs(self.opts) do opts[k] = v end
  opts.tools = self.agent.tools.list
  -- Who must call a tool each time never comes to an end.
  if #self.steps > 0 and opts.tool_choice ~= nil then opts.tool_choice = "auto" end
  if #self.steps > 0 then opts.deadline = tools.check_deadline(self.deadline_at) end
  return opts
end

--- Takes in what the model said.
---@param response table neutral
---@return table step
function methods:take(response)
  local step = { response = response, info = info.of(response), tools = {} }
  for i, call in ipairs(response.tool_calls or {}) do
    step.tools[i] = { id = call.id, name = call.name, arguments = call.arguments,
      arguments_text = call.arguments_text }
  end
  self.messages[#self.messages + 1] = collect.message(response)
  self.steps[#self.steps + 1] = step
  return step
end

--- Makes the calls of a step, and adds their results for the model.
function methods:call_tools(step)
  self.agent.tools:use(step.tools, self.deadline_at)
  for _, call in ipairs(step.tools) do
    self.messages[#self.messages + 1] = { role = "tool", tool_call_id = call.id,
      name = call.name, content = call.content }
  end
end

local function wants_tools(self)
  return #self.steps[#self.steps].tools > 0
end

--- Whether the model has had its say.
function methods:is_over()
  return not wants_tools(self) or #self.steps >= self.agent.max_steps
end

local function sum_of(steps)
  local sum = { input_tokens = 0, output_tokens = 0, total_tokens = 0 }
  for _, step in ipairs(steps) do
    for name, value in pairs(step.response.usage or {}) do
      sum[name] = math.type(value) and (sum[name] or 0) + value or value
    end
  end
  return sum
end

--- Ends it: the result, after the agent has remembered what was said.
function methods:finish()
  local agent, last = self.agent, self.steps[#self.steps].response
  local reason = last.finish_reason
  if wants_tools(self) then
    reason = "max_steps"
    log.warn("the agent was stopped after %d calls of its model (max_steps)", #self.steps)
  end
  local messages, count = self.messages, #self.messages
  local result = setmetatable({ content = last.content or "", finish_reason = reason,
    messages = table.move(messages, self.first, count, 1, {}), steps = self.steps,
    usage = sum_of(self.steps) }, result_mt)
  if agent.remembers then
    -- A new list: that of the agent may be its first one, or in the hands of a reader.
    local history = append({}, agent.history)
    agent.history = table.move(messages, self.own, count, #history + 1, history)
  end
  return result
end

return conversation
