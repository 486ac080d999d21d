--- Several tasks as one: `gather` and `run`.
local task = require "keycycle.task"

local group = {}

local methods = {}
local group_mt = { __index = methods }

-- A group knows how many of its tasks have not ended; `done` is what
-- task.wait_end looks at.
local function new_group()
  return setmetatable({ parent = task.group(), tasks = {}, count = 0, on_end = {}, done = true },
    group_mt)
end

--- Called by the scheduler for each task that is spawned in the group.
function methods:add(t)
  self.count = self.count + 1
  self.done = false
  self.tasks[t] = true
  table.insert(t.on_end, function() self:remove(t) end)
end

function methods:remove(t)
  self.count = self.count - 1
  self.tasks[t] = nil
  if self.count > 0 then return end
  self.done = true
  for _, fn in ipairs(self.on_end) do fn() end
end

-- Cancels what is left and sees it to its end, as far as we may still wait.
function methods:finish()
  local left = {}
  for t in pairs(self.tasks) do left[#left + 1] = t end
  for _, t in ipairs(left) do t:cancel "the run was ended" end
  pcall(task.wait_end, self)
end

--- Runs `fn(...)` as a task and everything it spawns to the end; fn's results.
--- An error of fn cancels what is left, then it is raised.
function group.run(fn, ...)
  if type(fn) ~= "function" then
    error("run needs a function, not a " .. type(fn), 2)
  end
  local all = new_group()
  local main = task.spawn_in(all, fn, ...)
  local function finish(ok, ...)
    local err = (...)
    if ok then ok, err = pcall(task.wait_end, all) end
    if not ok then
      main.observed = true
      all:finish()
      error(err, 0)
    end
    return ...
  end
  return finish(pcall(main.await, main))
end

local function cancel_all(tasks)
  for _, t in ipairs(tasks) do
    t.observed = true
    t:cancel()
  end
end

local function tasks_of(list)
  local tasks = {}
  for i, item in ipairs(list) do
    local t = type(item) == "function" and task.spawn(item) or item
    if not task.is_task(t) then
      cancel_all(tasks)
      error(("gather: item %d is neither a task nor a function"):format(i), 3)
    end
    tasks[i] = t
  end
  return tasks
end

--- Runs tasks and functions side by side: a list of their first results, in
--- order. The first error cancels the others, then it is raised.
---@param list table of tasks and functions
---@return table
function group.gather(list)
  local tasks, failed = tasks_of(list), nil
  local function ended(t)
    if t.failed and not failed then
      failed = t
      cancel_all(tasks)
    end
  end
  for _, t in ipairs(tasks) do
    if t.done then ended(t) else table.insert(t.on_end, ended) end
  end
  local results = {}
  for i, t in ipairs(tasks) do
    local ok, value = pcall(t.await, t)
    if not ok then
      -- One of them failed, or we ourselves were cancelled while we waited.
      cancel_all(tasks)
      for _, other in ipairs(tasks) do pcall(other.await, other) end
      error(failed and failed.err or value, 0)
    end
    results[i] = value
  end
  return results
end

return group
