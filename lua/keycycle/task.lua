--- Tasks: coroutines that this library resumes when what they wait for is ready.
---
--- `wait` is the one primitive: inside a task's own coroutine it yields to the
--- scheduler, anywhere else it steps the loop until the thing is ready, running
--- I/O but resuming no other task. So every call blocks or yields by itself.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local log = require "keycycle.log"

local task = {}

local methods = {}
local task_mt = { __name = "keycycle.task", __index = methods }

-- The scheduler of this Lua state: there is one, as there is one runtime.
local live = {} -- luacheck: ignore 241 (it keeps tasks that nobody holds)
local live_count = 0
local runnable = {}  -- a queue of tasks to resume: runnable[first .. last]
local first, last = 1, 0
local waiting = {}   -- id of a waitable -> task
local after_turn = {} -- functions to call when a turn of the loop is over
local current        -- the task whose code runs now, in whatever coroutine
local by_thread = setmetatable({}, { __mode = "k" })

local function push(t)
  if t.queued or t.done then return end
  t.queued = true
  last = last + 1
  runnable[last] = t
  if first == last then core.wake() end
end

-- A step uses up the wake of what it leaves for the next one.
local function wake_if_runnable()
  if first <= last then core.wake() end
end

local function pop()
  if first > last then return nil end
  local t = runnable[first]
  runnable[first] = nil
  first = first + 1
  t.queued = false
  return t
end

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

-- Takes the waitables that became ready to their tasks.
local function collect_ready()
  local id = core.next_ready()
  while id do
    local t = waiting[id]
    if t then push(t) end
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
  end_turn()
  wake_if_runnable()
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

-- Closes what a failed task left to be closed: its waits there raise if it was
-- cancelled, else they block. What a handler raises is the error from then on.
local function unwind(t)
  local before = current
  current = t
  local ok, err = coroutine.close(t.co)
  current = before
  if not ok then t.err = err end
end

local function finish(t, ok, ...)
  t.done = true
  live[t] = nil
  live_count = live_count - 1
  if ok then
    t.results = table.pack(...)
  else
    t.failed, t.err = true, (...)
    t.trace = debug.traceback(t.co, tostring(t.err))
    unwind(t)
  end
  by_thread[t.co] = nil
  for _, fn in ipairs(t.on_end) do fn(t) end
end

local function resume(t)
  -- One that runs already, further down the stack, sees a cancellation itself.
  if t.done or coroutine.status(t.co) ~= "suspended" then return end
  local before = current
  current = t
  local function after(ok, ...)
    current = before
    if not ok or coroutine.status(t.co) == "dead" then
      return finish(t, ok, ...)
    end
    if (...) ~= task then
      -- Somebody yielded out of a task by hand: it goes on in its turn.
      push(t)
    end
  end
  if t.args then
    local args = t.args
    t.args = nil
    after(coroutine.resume(t.co, table.unpack(args, 1, args.n)))
  else
    after(coroutine.resume(t.co))
  end
end

local function join(t, group)
  t.group = group
  while group do
    group:add(t)
    group = group.parent
  end
end

--- Starts `fn(...)` as a task; it runs from the next step on.
---@param group? table told of the task, of what it spawns, and of their ends
---@param fn function
---@return table task
function task.spawn_in(group, fn, ...)
  local t = setmetatable({ args = table.pack(...), on_end = {} }, task_mt)
  t.co = coroutine.create(fn)
  by_thread[t.co] = t
  live[t] = true
  live_count = live_count + 1
  join(t, group)
  push(t)
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
local function run_queue(stop_at)
  local upto = last
  while first <= upto do
    local t = pop()
    if t then resume(t) end
    if stop_at and core.mono() >= stop_at then break end
  end
end

--- Does what is due: I/O, timers and the tasks they wake.
---@param timeout? number seconds to wait at most for something to do; nil: until
--- there is; 0: never blocks
---@param budget? number seconds after which no further event or task is started
---@return integer live how many tasks have not ended
function task.step(timeout, budget)
  local stop_at = budget and core.mono() + budget
  if first <= last then timeout = 0 end
  step_core(timeout, budget)
  collect_ready()
  run_queue(stop_at)
  end_turn()
  wake_if_runnable()
  return live_count
end

--- One descriptor that is readable whenever step(0) has something to do (Linux).
function task.pollfd()
  return core.pollfd()
end

--- Seconds until step has something to do by itself; nil: only I/O can tell.
function task.timeout()
  if first <= last then return 0 end
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
  return first > last and core.timeout() == nil and core.io_pending() == 0
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
  if self.done or self.cancel_requested then return end
  self.cancel_requested = true
  self.why = why
  if self.args then
    -- It never ran: nothing to unwind.
    self.args = nil
    finish(self, false, cancelled(self))
    return
  end
  if self ~= current then push(self) end
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
