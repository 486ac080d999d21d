--- Tasks: coroutines that this library resumes when what they wait for is ready.
---
--- What a program sees of them: how they are started, awaited and cancelled, and how a
--- host drives them. How they are resumed is in task/scheduler.lua.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local generator = require "keycycle.task.generator"
local runnable = require "keycycle.task.runnable"
local scheduler = require "keycycle.task.scheduler"
local trace = require "keycycle.task.trace"

local task = {}

local MOST_TURNS = 100

local push, current, yielding = runnable.push, scheduler.current, scheduler.yielding

local methods = {}
local task_mt = { __name = "keycycle.task", __index = methods }

task.wait = scheduler.wait
task.pause = scheduler.pause
task.wake = scheduler.wake
task.after_each_turn = scheduler.after_each_turn
task.check_open = scheduler.check_open
task.stop_at_close = scheduler.stop_at_close
task.wrap = generator.wrap

-- Misuse: told at the place of who called the function `name`.
local function check_seconds(name, seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error(("%s needs seconds, zero or more, not %s"):format(name, tostring(seconds)), 3)
  end
end

local function check_function(name, fn)
  if type(fn) ~= "function" then
    error(("%s needs a function, not a %s"):format(name, type(fn)), 3)
  end
end

local function no_task(name, value)
  error(("%s needs a task, not a %s: task:%s()"):format(name, type(value), name), 3)
end

--- Whether `value` is a task.
function task.is_task(value)
  return getmetatable(value) == task_mt
end

local is_task = task.is_task

--- Starts `fn(...)` as a task; it runs from the next step on.
---@param group? table `{ tasks, count, done, on_end, parent }`: knows the task, and what
--- that spawns, until it has ended
---@param fn function
---@return table task
function task.spawn_in(group, fn, ...)
  local t = setmetatable({ args = table.pack(...), on_end = {}, group = group, co = false,
    turn = 0, behind = false, before = false, queued = false, listed = false, done = false,
    failed = false, observed = false, cancel_requested = false, why = false, err = false,
    trace = false, unseen = false, results = false }, task_mt)
  scheduler.add(t, fn)
  return t
end

--- The group of the task that runs now.
function task.group()
  local t = current()
  return t and t.group
end

--- Starts `fn(...)` as a task; it runs from the next step on.
---@param fn function
---@return table task
function task.spawn(fn, ...)
  check_function("spawn", fn)
  return task.spawn_in(task.group(), fn, ...)
end


--- Starts `run(prepare(...))` as a task. The arguments are checked and encoded here and
--- now, for the caller may change them next, but what is wrong with them the task raises.
---@param run fun(prepared: any): ...
---@param prepare fun(...): any
---@return table task
function task.spawn_prepared(run, prepare, ...)
  local ok, prepared = pcall(prepare, ...)
  if ok then return task.spawn(run, prepared) end
  return task.spawn(error, prepared, 0)
end

--- "running", "ready", "waiting", "done", "failed" or "cancelled".
function methods:status()
  if not is_task(self) then no_task("status", self) end
  if self.done then
    if not self.failed then return "done" end
    return errors.is(self.err, errors.CancelledError) and "cancelled" or "failed"
  end
  if self == current() then return "running" end
  return self.queued and "ready" or "waiting"
end

local function raise_deadlock()
  errors.raise(errors.KeycycleError, {
    code = "deadlock",
    message = "every task waits for something that only another one, or a manual clock, can end",
  })
end

-- Parks the task `t` until `what` has ended or something else wakes it.
local function park_for(t, what)
  local function wake() push(t) end
  table.insert(what.on_end, wake)
  scheduler.park(t)
  for i, fn in ipairs(what.on_end) do
    if fn == wake then
      table.remove(what.on_end, i)
      break
    end
  end
end

--- Waits until `what.done`: a task, or anything that then calls the functions of
--- its list `on_end`. Outside of tasks, and in a foreign coroutine of one, all
--- tasks go on meanwhile. Raises when nothing can (code `deadlock`).
function task.wait_end(what)
  local t = yielding()
  scheduler.check_cancelled()
  while not what.done do
    if t then
      park_for(t, what)
    else
      if scheduler.stuck() then raise_deadlock() end
      scheduler.step(nil)
    end
    scheduler.check_cancelled()
  end
end

--- Waits for the task's end: its results; raises the very error it failed with.
function methods:await()
  if not is_task(self) then no_task("await", self) end
  if self == current() then error("a task cannot await itself", 2) end
  task.wait_end(self)
  self.observed = true
  if self.failed then trace.raise(self.err, self.trace) end
  return table.unpack(self.results, 1, self.results.n)
end

--- Makes the task's wait, and each later one, raise CancelledError. Harmless
--- once it has ended. Does not wait for its end.
---@param why? string the error's message
function methods:cancel(why)
  if not is_task(self) then no_task("cancel", self) end
  if why ~= nil and type(why) ~= "string" then
    error("cancel needs a text, or nothing, not a " .. type(why), 2)
  end
  if self.done then return end
  self.cancel_requested, self.why = true, self.why or why or false
  if self.args then
    pcall(scheduler.end_unstarted, self) -- nothing to unwind; for want of memory at its turn
  elseif self ~= current() then
    push(self)
  end
end

--- What a task failed with and where: the error's text, the stack of the task, and those
--- that the error came from. nil where it has not failed. Whoever asks has seen it.
---@return string?
function methods:traceback()
  if not is_task(self) then no_task("traceback", self) end
  if not self.failed then return nil end
  self.observed = true
  return trace.text(self.err, self.trace)
end

task_mt.__tostring = function(t)
  return "task (" .. t:status() .. ")"
end


--- Waits `seconds` of real time.
---@param seconds number
function task.sleep(seconds)
  check_seconds("sleep", seconds)
  local timer <close> = core.timer(seconds)
  scheduler.wait(timer)
end

--- Waits `seconds` of a pool's clock. On a manual clock such a wait ends by
--- `advance` only: outside a task it raises `err` at once instead.
---@param seconds number
---@param clock? userdata a clock of the program; nil: the machine's
---@param err table the error object to raise
function task.wait_clock(seconds, clock, err)
  if clock and not yielding() then error(err, 0) end
  local timer <close> = core.timer(seconds, clock)
  scheduler.wait(timer)
end

--- Whether a wait would yield here (rather than block).
function task.may_yield()
  return yielding() ~= nil
end

--- Does what is due: I/O, timers and the tasks they wake.
---@param timeout? number seconds to wait at most for something to do; nil: until
--- there is; 0: never blocks
---@param budget? number seconds after which no further event or task is started; one is in
--- any case, they take turns at that, and the wait does not count
---@return integer live how many tasks have not ended
function task.step(timeout, budget)
  if timeout then check_seconds("step", timeout) end
  if budget then check_seconds("step's budget", budget) end
  return scheduler.step(timeout, budget)
end

--- Cancels every task and lets it close what it holds, for a host that ends: each wait
--- raises at once. A task that has not ended after so many turns is left as it is.
---@param why string the error's message
function task.end_all(why)
  for _ = 1, MOST_TURNS do
    local tasks = scheduler.tasks()
    if #tasks == 0 then return end
    for _, t in ipairs(tasks) do
      t.observed = true
      t:cancel(why)
    end
    scheduler.step(0)
  end
end

--- One descriptor that is readable whenever step(0) has something to do (Linux).
function task.pollfd()
  return core.pollfd()
end

--- Seconds until step has something to do by itself; nil: only I/O can tell.
task.timeout = scheduler.timeout

--- Ends all that this library does in this Lua state, which lives on: each task is
--- cancelled and has ended, each wrapper is stopped as by `stop` (leases are settled, usage
--- is written), connections are dropped, and the log goes to standard error again. Called in
--- a task it ends all others at once, and this one at its next wait. From then on calls
--- raise KeycycleError (`closed`) and `step` returns 0. To go on, `require "keycycle"` again:
--- it is loaded anew. A second call does nothing. Raises KeycycleError (`forked`).
task.close = scheduler.close

--- The stacks of the tasks that an error came from, as text, or nil: for a host that shows
--- an error which nobody caught. Soon after it was raised: a text's is forgotten.
task.trace_of = trace.known

return task
