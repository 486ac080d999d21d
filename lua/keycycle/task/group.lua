--- Several tasks as one: `gather` and `run`.
local task = require "keycycle.task"
local trace = require "keycycle.task.trace"

local group = {}

local methods = {}
local group_mt = { __index = methods }

-- The scheduler puts into a group the tasks that have not ended; `done` is what
-- task.wait_end looks at.
local function new_group()
  return setmetatable({ parent = task.group(), tasks = {}, count = 0, on_end = {}, done = true,
    listed = false, before = false }, group_mt)
end

-- Cancels what is left.
function methods:cancel()
  for t, spawned in pairs(self.tasks) do
    if spawned then t:cancel "the run was ended" end
  end
end

--- Runs `fn(...)` as a task and everything it spawns to the end; fn's results.
--- An error of fn cancels what is left, then it is raised.
function group.run(fn, ...)
  if type(fn) ~= "function" then
    error("run needs a function, not a " .. type(fn), 2)
  end
  local all, main = new_group(), nil
  local function start_main(...)
    main = task.spawn_in(all, fn, ...)
    return main:await()
  end
  local function finish(ok, ...)
    local err = (...)
    if ok then ok, err = pcall(task.wait_end, all) end
    if not ok then
      if main then main.observed = true end
      all:cancel() -- first: all else may find no memory
      local from = trace.known(err)
      pcall(task.wait_end, all) -- as far as we may still wait
      trace.raise(err, from)
    end
    return ...
  end
  return finish(pcall(start_main, ...)) -- all is made: from here on nothing is left alone
end

local function cancel_all(tasks)
  for _, t in ipairs(tasks) do
    if t then
      t.observed = true
      t:cancel()
    end
  end
end

-- Fills `tasks`; the place in the list of what is neither task nor function.
local function start(list, tasks)
  for i = 1, #list do
    local item = list[i]
    tasks[i] = false -- room for it: what was spawned must not be lost
    local t = type(item) == "function" and task.spawn(item) or item
    if not task.is_task(t) then return i end
    tasks[i] = t
  end
end

-- Their first results. The first one to fail cancels the others at once.
local function await_all(tasks)
  local failed
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
    if not ok and failed then trace.raise(failed.err, failed.trace) end
    if not ok then error(value, 0) end
    results[i] = value
  end
  return results
end

--- Runs tasks and functions side by side: a list of their first results, in
--- order. The first error cancels the others, and is raised once they have ended.
---@param list table of tasks and functions
---@return table
function group.gather(list)
  if type(list) ~= "table" then error("gather needs a list, not a " .. type(list), 2) end
  local tasks = {}
  local started, odd = pcall(start, list, tasks)
  local ok, value = started and not odd, odd
  if ok then ok, value = pcall(await_all, tasks) end
  if ok then return value end
  -- One of them failed, or we ourselves were cancelled while we waited.
  cancel_all(tasks)
  local from = trace.known(value)
  if started and odd then
    error(("gather: item %d is neither a task nor a function"):format(odd), 2)
  end
  for _, t in ipairs(tasks) do
    if t then pcall(t.await, t) end
  end
  trace.raise(value, from)
end

return group
