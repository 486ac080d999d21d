--- Generators that make our calls: coroutines of a task's own.
local scheduler = require "keycycle.task.scheduler"
local trace = require "keycycle.task.trace"

local generator = {}

--- Like coroutine.wrap, for generators that make our calls inside a task: the
--- waits go through to the task, all other yields to the caller. An error closes what
--- the generator holds, then it is raised. While it waits for one task no other may
--- call it.
---@param fn function
---@return function
function generator.wrap(fn)
  if type(fn) ~= "function" then error("wrap needs a function, not a " .. type(fn), 2) end
  local co, waits = coroutine.create(fn), false
  local function pass(ok, ...)
    if not ok then
      local err = (...)
      local from = trace.of(co, err)
      local closed, instead = coroutine.close(co)
      trace.raise(closed and err or instead, from)
    end
    if coroutine.status(co) ~= "dead" and (...) == scheduler.token then
      waits = true
      coroutine.yield(scheduler.token)
      waits = false
      return pass(coroutine.resume(co))
    end
    return ...
  end
  return function(...)
    if waits then error("the generator waits for another task's call", 2) end
    scheduler.adopt(co)
    return pass(coroutine.resume(co, ...))
  end
end

return generator
