--- The stream of an agent's run: what its model says, step by step, and its calls of tools.
local errors = require "keycycle.errors"

local agent_stream = {}

local methods = {}
local stream_mt = { __name = "keycycle.agent_stream", __index = methods }

local function queue_calls(self, step)
  for _, call in ipairs(step.tools) do self.queue[#self.queue + 1] = { tool = call } end
end

-- What is to be done next, once all that is queued has been read.
local function go_on(self)
  local run, step = self.run, self.step
  if step then
    self.step = false
    run:call_tools(step)
    queue_calls(self, step)
  elseif run:is_over() then
    self.outcome = run:finish()
    self:close()
  else
    self.source = run.agent.model:invoke_stream(run.messages, run:options())
  end
end

-- The model has said it all; unless the stream was closed meanwhile.
local function end_source(self)
  local source = self.source
  self.source = false
  self.step = self.run:take(source:response())
  queue_calls(self, self.step)
end

local function advance(self)
  while not self.closed do
    local chunk = table.remove(self.queue, 1)
    if chunk then return "", chunk end
    if self.source then
      local text, said = self.source()
      if text then return text, said end
      if not self.closed then end_source(self) end
    else
      go_on(self)
    end
  end
end

-- What raises ends it.
local function pass(self, ok, ...)
  if ok then return ... end
  self:close()
  error((...), 0)
end

--- The next text and chunk; nil at the end.
function methods:next()
  return pass(self, pcall(advance, self))
end

--- Reads what is left and returns its text.
function methods:text()
  local parts = {}
  for text in self do parts[#parts + 1] = text end
  return table.concat(parts)
end

--- Reads on to the end: what `run` returns. Raises KeycycleError (`closed`) where it was
--- closed before that.
function methods:result()
  repeat until not self:next()
  if self.outcome then return self.outcome end
  errors.raise(errors.KeycycleError, { code = "closed",
    message = "the agent's stream was closed before its end" })
end

--- Ends the run, unless it has ended. Never yields; idempotent.
function methods:close()
  if self.source then self.source:close() end
  self.closed = true
end

stream_mt.__call = methods.next
stream_mt.__close = methods.close
stream_mt.__tostring = function(self)
  return ("stream of an agent (%s)"):format(self.closed and "closed" or "open")
end

--- Sends the first request of a run.
---@return table stream, nil, nil, stream for a generic `for`
function agent_stream.open(run)
  local model = run.agent.model
  local self = setmetatable({ run = run, queue = {}, step = false, outcome = false, closed = false,
    source = model:invoke_stream(run.messages, run:options()) }, stream_mt)
  return self, nil, nil, self
end

return agent_stream
