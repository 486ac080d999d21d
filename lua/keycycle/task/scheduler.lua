--- Resumes tasks when what they wait for is ready; what a task is to its user is in
--- task.lua.
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
local runnable = require "keycycle.task.runnable"
local stops = require "keycycle.task.stops"
local trace = require "keycycle.task.trace"

local scheduler = {}

local push = runnable.push
local running, isyieldable, yield = coroutine.running, coroutine.isyieldable, coroutine.yield
local resume_thread, status = coroutine.resume, coroutine.status

-- There is one scheduler in a Lua state, as there is one runtime.
local live = {} -- task -> true, which keeps it; false while it is being spawned
local live_count = 0
local waiting = {} -- id of a waitable -> task
local after_turn = {} -- functions to call when a turn of the loop is over
local NO_MEMORY = "not enough memory" -- Lua's own words
local current -- the task whose code runs now, in whatever coroutine
local stop_at = false -- when the budget of the step under way is spent; false: it has none
local owed = false -- I/O took the whole budget of the last step: the tasks come first
local by_thread = setmetatable({}, { __mode = "k" })
local phase = "open" -- "closing": nothing new begins; "closed": nothing waits either
local ending = false -- close is under way

--- What a wait yields, through generators up to the scheduler.
scheduler.token = {}
local token = scheduler.token

local function cancelled(t)
  return errors.new(errors.CancelledError, {
    code = "cancelled", message = t.why or "the task was cancelled",
  })
end

local function raise_closed()
  errors.raise(errors.KeycycleError, { code = "closed",
    message = "keycycle was closed in this Lua state" })
end

--- Raises `closed` once `close` was called: nothing new may begin.
function scheduler.check_open()
  if phase ~= "open" then raise_closed() end
end

--- The task whose code runs now, in whatever coroutine.
function scheduler.current()
  return current
end

--- The running task if this very thread is its own and may yield.
function scheduler.yielding()
  if not current or by_thread[running()] ~= current or not isyieldable() then return nil end
  return current
end

local yielding = scheduler.yielding

--- Makes `co`, which is resumed next, one of the running task's own where that may
--- yield here: then its waits are yielded, as `token`, to whoever resumes it.
function scheduler.adopt(co)
  by_thread[co] = yielding()
end

--- Yields until `id` is marked ready, or the task is pushed for another reason.
---@param t table the task that runs, in a thread that may yield
---@param id? integer of a waitable
function scheduler.park(t, id)
  if id then waiting[id] = t end
  yield(token)
  if id then waiting[id] = nil end
end

--- Raises CancelledError if the running task was cancelled.
function scheduler.check_cancelled()
  if current and current.cancel_requested then error(cancelled(current), 0) end
end

local park, check_cancelled = scheduler.park, scheduler.check_cancelled

local function is_spent()
  return stop_at and core.mono() >= stop_at
end

--- Where the budget of the step is spent the running task goes on in the next one: between
--- two things that it need not wait for, the events of a stream that were read ahead or
--- the end of one call and the next. It raises nothing; a cancelled task's next wait does.
function scheduler.pause()
  local t = is_spent() and yielding()
  if not t then return end
  push(t)
  park(t)
end

-- Whether there was an event or a timer.
local function step_core(timeout, budget)
  local ok, what = core.step(timeout, budget)
  if not ok and what.code ~= "interrupted" then error(errors.from_core(what), 0) end
  return ok and what
end

--- Has the task that waits for this id, if one does, look at its waitable again.
---@param id integer
function scheduler.wake(id)
  local t = waiting[id]
  if t then push(t) end
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
function scheduler.after_each_turn(fn)
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
  if phase == "closed" then raise_closed() end
  while not waitable:ready() do
    step_core(nil)
    collect_ready()
  end
  runnable.wake()
  end_turn()
end

--- Waits until `waitable:ready()`. Raises CancelledError in a cancelled task.
---@param waitable table|userdata with id() and ready()
function scheduler.wait(waitable)
  check_cancelled()
  while not waitable:ready() do
    local t = yielding()
    if t then
      park(t, waitable:id())
    else
      block(waitable)
    end
    check_cancelled()
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

--- Ends a task that has not begun to run, and never will.
function scheduler.end_unstarted(t)
  t.err = cancelled(t)
  t.failed, t.args = true, false
  end_task(t)
end

local function keep_results(t, ok, ...)
  if status(t.co) ~= "dead" then return (...) ~= token end
  if ok then
    t.results = table.pack(...)
  else
    t.failed, t.err = true, (...)
    t.trace = trace.of(t.co, t.err)
  end
end

-- Takes it off the queue and lets it go on; true: it was yielded by hand, which is
-- no wait.
local function go_on(t)
  runnable.pop()
  return keep_results(t, resume_thread(t.co))
end

-- What a failed task left to be closed is closed: its waits there raise if it was
-- cancelled, else they block. What a handler raises is the error from then on.
local function unwind(t, memory)
  if not t.results and not t.failed then t.failed, t.err = true, memory end
  if not t.failed then return end
  local ok, err = coroutine.close(t.co)
  if not ok then t.err = err end
  t.unseen = trace.watch(t) or false
  if errors.is_error(t.err) and not t.err.traceback then t.err.traceback = t.trace or nil end
end

-- Resumes the first of the queue. Where memory runs out it stays in it, or comes
-- back.
local function resume(t)
  local lives = live[t]
  if lives == false then live[t] = nil end
  -- One that runs already, further down the stack, sees a cancellation itself.
  if not lives or status(t.co) ~= "suspended" then return runnable.pop() end
  if t.args and t.cancel_requested then
    scheduler.end_unstarted(t)
    return runnable.pop()
  end
  local before = current
  current = t
  local ok, again = pcall(go_on, t)
  local dead = status(t.co) == "dead"
  if dead then pcall(unwind, t, again) end -- it may have no memory either
  current = before
  -- What a debug hook raises here, by which a host stops a program, goes on to the program.
  local hooked = not ok and again ~= NO_MEMORY
  t.observed = t.observed or hooked
  if dead then end_task(t) elseif again then push(t) end
  if not ok and (not dead or hooked) then error(again, 0) end
end

--- Adds a task that runs `fn(table.unpack(t.args))` from the next step on. `t.group`,
--- and the groups above, know it until it has ended.
---@param t table with the fields of task.spawn_in
---@param fn function
function scheduler.add(t, fn)
  scheduler.check_open()
  core.start() -- there is a loop to wake
  t.co = coroutine.create(function()
    local args = t.args
    t.args = false
    return fn(table.unpack(args, 1, args.n))
  end)
  by_thread[t.co] = t
  local group = t.group
  while group do
    group.tasks[t] = false
    group = group.parent
  end
  live[t] = false
  push(t) -- the last that may raise: what is not live never runs
  live[t], live_count, group = true, live_count + 1, t.group
  while group do
    group.tasks[t], group.count, group.done = true, group.count + 1, false
    group = group.parent
  end
end

-- What is runnable now; what becomes so meanwhile waits for the next time.
local function run_tasks()
  runnable.tell() -- what an earlier turn had no memory for
  local upto = runnable.last_turn()
  local t = runnable.next(upto)
  while t do
    resume(t)
    t = not is_spent() and runnable.next(upto)
  end
end

-- I/O and timers, then the tasks. Whichever has taken the whole budget leaves the next step
-- to the other: so a step takes its budget and one event, or one task, more.
local function turn(timeout, budget)
  runnable.begin_step()
  stop_at = budget and core.mono() + budget
  trace.forget()
  local first = owed and runnable.any()
  owed = false
  if first then run_tasks() end
  if not first or not is_spent() then
    -- Those that are queued already must not wait for as long as there is I/O.
    local worked = step_core(timeout, budget and runnable.any() and budget / 2 or budget)
    collect_ready()
    owed = worked and is_spent()
    if not owed then run_tasks() end
  end
  end_turn()
end

--- Does what is due: I/O, timers and the tasks they wake.
---@param timeout? number seconds to wait at most for something to do; nil: until
--- there is; 0: never blocks
---@param budget? number seconds after which no further event or task is started; the
--- wait does not count
---@return integer live how many tasks have not ended
function scheduler.step(timeout, budget)
  if phase == "closed" then return 0 end
  if runnable.any() then timeout = 0 end
  if budget and timeout ~= 0 then
    step_core(timeout, 0) -- the wait, and the first event
    timeout = 0
  end
  local outer = stop_at -- of the step that the running task belongs to
  local ok, err = pcall(turn, timeout, budget)
  stop_at = outer
  runnable.end_step(not ok)
  if not ok then error(err, 0) end
  return live_count
end

--- The tasks that have not ended.
---@return table[]
function scheduler.tasks()
  local list = {}
  for t in pairs(live) do list[#list + 1] = t end
  return list
end

--- Seconds until step has something to do by itself; nil: only I/O can tell.
function scheduler.timeout()
  if phase == "closed" then return nil end
  if runnable.any() then return 0 end
  return core.timeout()
end

--- Nothing can go on by itself: no I/O, no timer, nothing to resume. Raises once all
--- is closed.
function scheduler.stuck()
  if phase == "closed" then raise_closed() end
  return not runnable.any() and core.timeout() == nil and core.io_pending() == 0
end

--- Has `close` call `what:stop()`, unless it is collected before. Raises `closed`.
function scheduler.stop_at_close(what)
  scheduler.check_open()
  stops.add(what)
end

-- One that has caught its cancellation and then yields by hand: there is no end else.
local function force(t)
  local before = current
  current = t
  t.failed, t.err = true, cancelled(t)
  pcall(unwind, t)
  current = before
  end_task(t)
end

-- Each ends at the wait that it is in, for this and all later ones raise. Those that run,
-- further down the stack, end so by themselves.
local function end_tasks()
  for t in pairs(live) do
    t.cancel_requested, t.why = true, t.why or "keycycle was closed"
    push(t)
  end
  local upto = runnable.last_turn()
  local t = runnable.next(upto)
  while t do
    resume(t)
    t = runnable.next(upto)
  end
  for left in pairs(live) do
    if left.co and status(left.co) == "suspended" then force(left) end
  end
  runnable.tell()
end

local function end_all()
  end_tasks()
  stops.all()
  core.close()
end

--- Ends all that goes on in this Lua state: every task is cancelled and has ended but those
--- that called this, what `stop_at_close` was told of is stopped, connections are dropped.
--- From within itself, and a second time, it does nothing. Raises `forked`, and for want of
--- memory; then it can be called again.
function scheduler.close()
  if ending or phase == "closed" then return end
  if core.forked() then error(errors.from_core { code = "forked",
    message = "the process was forked: what lives here is the parent's" }, 0) end
  phase, ending = "closing", true
  local ok, err = pcall(end_all)
  ending = false
  if not ok then error(err, 0) end
  phase = "closed"
  log.set_sink(nil) -- whose it was may be gone next
end

return scheduler
