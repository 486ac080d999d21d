--- Tasks: coroutines that this library resumes when what they wait for is ready.
---
--- `wait` is the one primitive: inside a task's own coroutine it yields to the
--- scheduler, anywhere else it steps the loop until the thing is ready, running
--- I/O but resuming no other task. So every call blocks or yields by itself.
---
--- Memory may run out anywhere. A task that was spawned is still queued, resumed,
--- cancelled and ended: none of this takes any, or it is done at the next turn.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local runnable = require "keycycle.runnable"

local task = {}

local push = runnable.push

local methods = {}
local task_mt = { __name = "keycycle.task", __index = methods }

-- The scheduler of this Lua state: there is one, as there is one runtime.
local live = {} -- task -> true, which keeps it; false while it is being spawned
local live_count = 0
local waiting = {} -- id of a waitable -> task
local after_turn = {} -- functions to call when a turn of the loop is over
local current -- the task whose code runs now, in whatever coroutine
local by_thread = setmetatable({}, { __mode = "k" })

local function cancelled(t)
  return errors.new(errors.CancelledError, {
    code = "cancelled", message = t.why or "the task was cancelled",
  })
end

--- The running task if this very thread is its own and may yield.
local function yielding()
  local co = coroutine.running()
  local t = by_thread[co]
  if t and t == current and coroutine.isyieldable() then return t end
  return nil
end

-- Yields until `id` is marked ready, or the task is woken (await, cancel).
local function park(t, id)
  if id then waiting[id] = t end
  coroutine.yield(task)
  if id then waiting[id] = nil end
end

local function check_cancelled(t)
  if t and t.cancel_requested then error(cancelled(t), 0) end
end

local function step_core(timeout, budget)
  local ok, err = core.step(timeout, budget)
  if not ok and err.code ~= "interrupted" then error(errors.from_core(err), 0) end
end

--- Has the task that waits for this id, if one does, look at its waitable again.
function task.wake(id)
  local t = waiting[id]
  if t then push(t) end
end

local function collect_ready()
  local id = core.next_ready()
  while id do
    task.wake(id)
    id = core.next_ready()
  end
end

--- Has `fn()` called after each turn of the loop, once however often it is given.
--- It must not raise.
function task.after_each_turn(fn)
  for _, known in ipairs(after_turn) do
    if known == fn then return end
  end
  after_turn[#after_turn + 1] = fn
end

local function end_turn()
  for _, fn in ipairs(after_turn) do fn() end
end

-- Runs I/O until it is ready, but no task: those that could go on are queued.
local function block(waitable)
  while not waitable:ready() do
    step_core(nil)
    collect_ready()
  end
  runnable.wake()
  end_turn()
end

--- Waits until `waitable:ready()`. Raises CancelledError in a cancelled task.
---@param waitable table|userdata with id() and ready()
function task.wait(waitable)
  check_cancelled(current)
  while not waitable:ready() do
    local t = yielding()
    if t then
      park(t, waitable:id())
    else
      block(waitable)
    end
    check_cancelled(current)
  end
end

-- A state that is being closed, or a task that failed unseen: say so once.
local function report(t)
  if t.failed and not t.observed then
    t.observed = true
    if errors.is(t.err, errors.CancelledError) then return end
    log.error("a task failed and nobody awaited it: %s", t.trace or tostring(t.err))
  end
end

local function end_task(t)
  live[t] = nil
  live_count = live_count - 1
  by_thread[t.co] = nil
  t.co = false -- what memory was too short to close is collected
  runnable.ended(t)
  local group = t.group
  while group do
    group.tasks[t] = nil
    group.count = group.count - 1
    if group.count == 0 then runnable.ended(group) end
    group = group.parent
  end
  runnable.tell()
end

local function end_unstarted(t)
  t.err = cancelled(t)
  t.failed, t.args = true, false
  end_task(t)
end

local function keep_results(t, ok, ...)
  if coroutine.status(t.co) ~= "dead" then return (...) ~= task end
  if ok then
    t.results = table.pack(...)
  else
    t.failed, t.err = true, (...)
    t.trace = debug.traceback(t.co, tostring(t.err))
  end
end

-- Takes it off the queue and lets it go on; true: it was yielded by hand, which is
-- no wait.
local function go_on(t)
  runnable.pop()
  return keep_results(t, coroutine.resume(t.co))
end

-- What a failed task left to be closed is closed: its waits there raise if it was
-- cancelled, else they block. What a handler raises is the error from then on.
local function unwind(t, memory)
  if not t.results and not t.failed then t.failed, t.err = true, memory end
  if not t.failed then return end
  local ok, err = coroutine.close(t.co)
  if not ok then t.err = err end
end

-- Resumes the first of the queue. Where memory runs out it stays in it, or comes
-- back.
local function resume(t)
  if not live[t] then live[t] = nil end
  -- One that runs already, further down the stack, sees a cancellation itself.
  if not live[t] or coroutine.status(t.co) ~= "suspended" then return runnable.pop() end
  if t.args and t.cancel_requested then
    end_unstarted(t)
    return runnable.pop()
  end
  local before = current
  current = t
  local ok, again = pcall(go_on, t)
  local dead = coroutine.status(t.co) == "dead"
  if dead then pcall(unwind, t, again) end -- it may have no memory either
  current = before
  if dead then end_task(t) elseif again then push(t) end
  if not ok and not dead then error(again, 0) end
end

--- Starts `fn(...)` as a task; it runs from the next step on.
---@param group? table `{ tasks, count, done, on_end, parent }`: knows the task, and what
--- that spawns, until it has ended
---@param fn function
---@return table task
function task.spawn_in(group, fn, ...)
  core.pollfd() -- there is a loop to wake
  local t = { args = table.pack(...), on_end = {}, group = group, co = false, turn = 0,
    behind = false, before = false, queued = false, listed = false, done = false, failed = false,
    observed = false, cancel_requested = false, why = false, err = false, trace = false,
    results = false }
  t.co = coroutine.create(function()
    local args = t.args
    t.args = false
    return fn(table.unpack(args, 1, args.n))
  end)
  by_thread[t.co] = t
  local g = group
  while g do
    g.tasks[t] = false
    g = g.parent
  end
  live[t] = false
  push(setmetatable(t, task_mt)) -- the last that may raise: what is not live never runs
  live[t], live_count = true, live_count + 1
  while group do
    group.tasks[t], group.count, group.done = true, group.count + 1, false
    group = group.parent
  end
  return t
end

--- The group of the task that runs now.
function task.group()
  return current and current.group
end

--- Starts `fn(...)` as a task; it runs from the next step on.
---@param fn function
---@return table task
function task.spawn(fn, ...)
  if type(fn) ~= "function" then
    error("spawn needs a function, not a " .. type(fn), 2)
  end
  return task.spawn_in(task.group(), fn, ...)
end

--- Whether `value` is a task.
function task.is_task(value)
  return getmetatable(value) == task_mt
end

-- Resumes what is runnable now; what becomes so meanwhile waits for its turn.
local function run_turn(stop_at)
  runnable.tell() -- what an earlier turn had no memory for
  local upto = runnable.last_turn()
  local t = runnable.next(upto)
  while t do
    resume(t)
    t = not (stop_at and core.mono() >= stop_at) and runnable.next(upto)
  end
  end_turn()
end

--- Does what is due: I/O, timers and the tasks they wake.
---@param timeout? number seconds to wait at most for something to do; nil: until
--- there is; 0: never blocks
---@param budget? number seconds after which no further event or task is started
---@return integer live how many tasks have not ended
function task.step(timeout, budget)
  local stop_at = budget and core.mono() + budget
  if runnable.any() then timeout = 0 end
  step_core(timeout, budget)
  collect_ready()
  local ok, err = pcall(run_turn, stop_at)
  runnable.wake()
  if not ok then error(err, 0) end
  return live_count
end

--- One descriptor that is readable whenever step(0) has something to do (Linux).
function task.pollfd()
  return core.pollfd()
end

--- Seconds until step has something to do by itself; nil: only I/O can tell.
function task.timeout()
  if runnable.any() then return 0 end
  return core.timeout()
end

--- "running", "ready", "waiting", "done", "failed" or "cancelled".
function methods:status()
  if self.done then
    if not self.failed then return "done" end
    return errors.is(self.err, errors.CancelledError) and "cancelled" or "failed"
  end
  if self == current then return "running" end
  return self.queued and "ready" or "waiting"
end

-- Nothing can go on by itself: no I/O, no timer, nothing to resume.
local function stuck()
  return not runnable.any() and core.timeout() == nil and core.io_pending() == 0
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
  park(t)
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
  check_cancelled(current)
  while not what.done do
    if t then
      park_for(t, what)
    else
      if stuck() then raise_deadlock() end
      task.step(nil)
    end
    check_cancelled(current)
  end
end

--- Waits for the task's end: its results; raises the very error it failed with.
function methods:await()
  if self == current then error("a task cannot await itself", 2) end
  task.wait_end(self)
  self.observed = true
  if self.failed then error(self.err, 0) end
  return table.unpack(self.results, 1, self.results.n)
end

--- Makes the task's wait, and each later one, raise CancelledError. Harmless
--- once it has ended. Does not wait for its end.
function methods:cancel(why)
  if self.done then return end
  self.cancel_requested, self.why = true, self.why or why or false
  if self.args then
    pcall(end_unstarted, self) -- nothing to unwind; for want of memory at its turn
  elseif self ~= current then
    push(self)
  end
end

task_mt.__gc = report

task_mt.__tostring = function(t)
  return "task (" .. t:status() .. ")"
end

--- Waits `seconds` of real time.
function task.sleep(seconds)
  local timer <close> = core.timer(seconds)
  task.wait(timer)
end

--- Waits `seconds` of a pool's clock. On a manual clock such a wait ends by
--- `advance` only: outside a task it raises `err` at once instead.
---@param seconds number
---@param clock? userdata a clock of the program; nil: the machine's
---@param err table the error object to raise
function task.wait_clock(seconds, clock, err)
  if clock and not yielding() then error(err, 0) end
  local timer <close> = core.timer(seconds, clock)
  task.wait(timer)
end

--- Whether a wait would yield here (rather than block).
function task.may_yield()
  return yielding() ~= nil
end

--- Like coroutine.wrap, for generators that make our calls inside a task: the
--- waits go through to the task, all other yields to the caller.
function task.wrap(fn)
  local co = coroutine.create(fn)
  local function pass(ok, ...)
    if not ok then
      coroutine.close(co)
      error((...), 0)
    end
    if coroutine.status(co) ~= "dead" and (...) == task then
      coroutine.yield(task)
      return pass(coroutine.resume(co))
    end
    return ...
  end
  return function(...)
    by_thread[co] = yielding()
    return pass(coroutine.resume(co, ...))
  end
end

return task
