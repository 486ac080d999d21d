local keycycle = require "keycycle"
local log = require "keycycle.log"
local task = require "keycycle.task"

-- Something to wait for that ends when the spec says so, within the same step.
local function manual()
  local clock = keycycle.clock.manual(1000)
  return clock
end

local function wait_on(clock, seconds)
  task.wait_clock(seconds, clock, "this wait is outside of a task")
end

local function finish_all()
  while keycycle.step(0) > 0 do assert(task.timeout(), "a task was left waiting") end
end

describe("a task", function()
  it("runs from the next step on, in the order of spawning", function()
    local order = {}
    for i = 1, 3 do keycycle.spawn(function() order[#order + 1] = i end) end
    assert.same({}, order)
    assert.equal(0, keycycle.step(0))
    assert.same({ 1, 2, 3 }, order)
  end)

  it("gets its arguments and gives all its results", function()
    local t = keycycle.spawn(function(...) return select("#", ...), ... end, nil, "a", nil)
    local got = table.pack(t:await())
    assert.equal(4, got.n)
    assert.equal(3, got[1])
    assert.equal("a", got[3])
  end)

  it("says how it is", function()
    local clock = manual()
    local t
    t = keycycle.spawn(function()
      assert.equal("running", t:status())
      wait_on(clock, 1)
    end)
    assert.equal("ready", t:status())
    keycycle.step(0)
    assert.equal("waiting", t:status())
    clock:advance(1)
    finish_all()
    assert.equal("done", t:status())
    assert.equal("task (done)", tostring(t))
  end)

  it("raises the very error that it failed with, each time", function()
    local err = setmetatable({}, { __tostring = function() return "mine" end })
    local t = keycycle.spawn(function() error(err) end)
    for _ = 1, 2 do
      local ok, caught = pcall(t.await, t)
      assert.is_false(ok)
      assert.equal(err, caught)
    end
    assert.equal("failed", t:status())
  end)

  it("is awaited from another task", function()
    local clock = manual()
    local a = keycycle.spawn(function() wait_on(clock, 5) return "a" end)
    local b = keycycle.spawn(function() return a:await() .. "b" end)
    keycycle.step(0)
    assert.equal(2, keycycle.step(0))
    clock:advance(5)
    finish_all()
    assert.equal("ab", (b:await()))
  end)

  it("cannot await itself", function()
    local t
    t = keycycle.spawn(function() t:await() end)
    local ok, err = pcall(t.await, t)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("itself", 1, true))
  end)

  it("that failed closes what it holds, whose waits then block", function()
    local slept = false
    local t = keycycle.spawn(function()
      local held <close> = setmetatable({}, { __close = function()
        keycycle.sleep(0.001)
        slept = true
      end })
      error("after " .. type(held))
    end)
    assert.is_false((pcall(t.await, t)))
    assert.is_true(slept)
  end)

  it("needs a function", function()
    assert.has_error(function() keycycle.spawn "text" end)
  end)

  it("goes on after a yield that is not ours", function()
    local t = keycycle.spawn(function()
      coroutine.yield "by hand"
      return "on"
    end)
    assert.equal("on", (t:await()))
  end)
end)

describe("step", function()
  it("never blocks with a time-out of zero", function()
    local clock = manual()
    local t = keycycle.spawn(function() wait_on(clock, 1) end)
    for _ = 1, 3 do assert.equal(1, keycycle.step(0)) end
    t:cancel()
    finish_all()
  end)

  it("starts no further task once its budget is spent", function()
    local ran = 0
    for _ = 1, 5 do
      keycycle.spawn(function() ran = ran + 1 end)
    end
    assert.equal(4, keycycle.step(0, 0))
    assert.equal(1, ran)
    assert.equal(0, keycycle.timeout())
    finish_all()
    assert.equal(5, ran)
  end)

  it("does one thing with no budget, and I/O and tasks take turns", function()
    local core, ran = require "keycycle.core", 0
    keycycle.spawn(function()
      for _ = 1, 3 do
        keycycle.sleep(0.001)
        ran = ran + 1
      end
    end)
    keycycle.spawn(function()
      for _ = 1, 20 do
        coroutine.yield "by hand"
        ran = ran + 1
      end
    end)
    keycycle.step(0)
    for _ = 1, 10 do
      local timer, before = core.timeout(), ran
      while timer and core.timeout() > 0 do end -- until it is due
      keycycle.step(0, 0)
      assert.equal(timer and before or before + 1, ran)
    end
    finish_all()
    assert.equal(23, ran)
  end)

  it("is left by a task that has more to do, once its budget is spent", function()
    local pause, seen = require "keycycle.task".pause, {}
    for i = 1, 2 do
      keycycle.spawn(function()
        for _ = 1, 3 do
          pause()
          seen[#seen + 1] = i
        end
      end)
    end
    for _ = 1, 4 do assert.equal(2, keycycle.step(0, 0)) end
    assert.same({ 1, 2 }, seen) -- in turn
    assert.equal(0, keycycle.step(0)) -- without one nobody leaves
    assert.same({ 1, 2, 1, 1, 2, 2 }, seen)
  end)

  it("with a spent budget in it goes on where a task cannot leave it", function()
    local pause, ran = require "keycycle.task".pause, 0
    pause() -- outside of tasks
    keycycle.spawn(function()
      table.sort({ 1, 2, 3 }, function(a, b)
        pause()
        ran = ran + 1
        return a < b
      end)
    end)
    keycycle.step(0, 0)
    assert.truthy(ran > 1)
    finish_all()
  end)

  it("that is made inside of another does not end its budget", function()
    local pause, ran = require "keycycle.task".pause, 0
    keycycle.spawn(function()
      coroutine.wrap(function() keycycle.step(0) end)()
      pause()
      ran = 1
    end)
    keycycle.step(0, 0)
    assert.equal(0, ran)
    finish_all()
    assert.equal(1, ran)
  end)

  it("leaves what a task starts for the next one", function()
    local second
    keycycle.spawn(function()
      keycycle.spawn(function() second = true end)
    end)
    assert.equal(1, keycycle.step(0))
    assert.is_nil(second)
    assert.equal(0, keycycle.step(0))
    assert.is_true(second)
  end)

  it("has a descriptor and a time to be called at", function()
    assert.equal("integer", math.type(keycycle.pollfd()))
    assert.is_nil(keycycle.timeout())
    local t = keycycle.spawn(function() keycycle.sleep(30) end)
    assert.equal(0, keycycle.timeout())
    keycycle.step(0)
    local seconds = keycycle.timeout()
    assert.is_true(seconds > 20 and seconds <= 30)
    t:cancel()
    finish_all()
    assert.is_nil(keycycle.timeout())
  end)
end)

describe("cancelling", function()
  it("takes a text for a reason, and nothing else", function()
    local t = keycycle.spawn(function() end)
    local ok, err = pcall(t.cancel, t, {})
    assert.is_false(ok)
    assert.truthy(err:find("cancel needs a text", 1, true), err)
    t:await()
  end)

  it("raises at the wait and at each later one", function()
    local clock, caught = manual(), {}
    local t = keycycle.spawn(function()
      for i = 1, 3 do
        local _, err = pcall(wait_on, clock, 1)
        caught[i] = err
      end
      error(caught[1], 0)
    end)
    keycycle.step(0)
    t:cancel "enough"
    finish_all()
    assert.equal(3, #caught)
    for i = 1, 3 do assert.is_true(keycycle.is(caught[i], keycycle.CancelledError)) end
    assert.equal("enough", caught[1].message)
    assert.equal("cancelled", t:status())
  end)

  it("closes what the task holds", function()
    local clock, closed = manual(), false
    local t = keycycle.spawn(function()
      local held <close> = setmetatable({}, { __close = function() closed = true end })
      wait_on(clock, 1)
      return held
    end)
    keycycle.step(0)
    t:cancel()
    assert.is_false(closed)
    finish_all()
    assert.is_true(closed)
  end)

  it("raises in the waits of what it closes, too", function()
    local clock, seen = manual(), nil
    local t = keycycle.spawn(function()
      local held <close> = setmetatable({}, { __close = function()
        seen = select(2, pcall(keycycle.sleep, 0.001))
      end })
      wait_on(clock, 5)
      return held
    end)
    keycycle.step(0)
    t:cancel()
    assert.is_false((pcall(t.await, t)))
    assert.is_true(keycycle.is(seen, keycycle.CancelledError), tostring(seen))
  end)

  it("keeps one from ever running that has not begun", function()
    local ran = false
    local t = keycycle.spawn(function() ran = true end)
    t:cancel()
    assert.equal("cancelled", t:status())
    finish_all()
    assert.is_false(ran)
  end)

  it("does nothing to one that has ended", function()
    local t = keycycle.spawn(function() return 1 end)
    finish_all()
    t:cancel()
    assert.equal(1, (t:await()))
  end)

  it("of the running task ends its next wait", function()
    local t
    t = keycycle.spawn(function()
      t:cancel()
      keycycle.sleep(0)
    end)
    finish_all()
    assert.equal("cancelled", t:status())
  end)
end)

describe("gather", function()
  it("gives the first results in order, whoever ends first", function()
    local clock = manual()
    local all = keycycle.spawn(function()
      return keycycle.gather {
        function() wait_on(clock, 2) return "slow", "second" end,
        function() return "quick" end,
        keycycle.spawn(function() return nil end),
        function() return 4 end,
      }
    end)
    keycycle.step(0)
    keycycle.step(0)
    clock:advance(2)
    finish_all()
    local results = all:await()
    assert.equal("slow", results[1])
    assert.equal("quick", results[2])
    assert.is_nil(results[3])
    assert.equal(4, results[4])
  end)

  it("cancels the others at the first error, then raises it", function()
    local clock, err = manual(), {}
    local other = keycycle.spawn(function() wait_on(clock, 1) end)
    local ok, caught = pcall(keycycle.gather, { other, function() error(err) end })
    assert.is_false(ok)
    assert.equal(err, caught)
    assert.equal("cancelled", other:status())
  end)

  it("cancels its tasks when it is cancelled itself", function()
    local clock = manual()
    local child = keycycle.spawn(function() wait_on(clock, 1) end)
    local t = keycycle.spawn(function() keycycle.gather { child } end)
    keycycle.step(0)
    t:cancel()
    finish_all()
    assert.equal("cancelled", child:status())
    assert.equal("cancelled", t:status())
  end)

  it("may be asked twice for the same task", function()
    local t = keycycle.spawn(function() return 5 end)
    assert.same({ 5, 5 }, keycycle.gather { t, t })
    assert.same({ 5 }, keycycle.gather { t })
  end)

  it("names what is neither a task nor a function", function()
    local ok, err = pcall(keycycle.gather, { function() end, 5 })
    assert.is_false(ok)
    assert.truthy(err:find("item 2", 1, true))
  end)

  it("takes tasks and functions, and an empty list", function()
    assert.same({}, keycycle.gather {})
    local ok, err = pcall(keycycle.gather, { "text" })
    assert.is_false(ok)
    assert.truthy(tostring(err):find("item 1", 1, true))
  end)
end)

describe("run", function()
  it("gives fn's results once all that it spawned has ended", function()
    local ended = false
    local a, b = keycycle.run(function(x)
      keycycle.spawn(function()
        keycycle.sleep(0)
        ended = true
      end)
      return x, "b"
    end, "a")
    assert.equal("a", a)
    assert.equal("b", b)
    assert.is_true(ended)
  end)

  it("cancels the rest when fn fails, then raises its error", function()
    local clock, err, child = manual(), {}, nil
    local ok, caught = pcall(keycycle.run, function()
      child = keycycle.spawn(function() wait_on(clock, 1) end)
      keycycle.sleep(0)
      error(err)
    end)
    assert.is_false(ok)
    assert.equal(err, caught)
    assert.equal("cancelled", child:status())
  end)

  it("inside another waits for its own and leaves the rest alone", function()
    local clock, order = manual(), {}
    keycycle.run(function()
      keycycle.spawn(function()
        wait_on(clock, 5)
        order[#order + 1] = "outer"
      end)
      keycycle.run(function()
        keycycle.spawn(function() order[#order + 1] = "inner" end)
      end)
      order[#order + 1] = "after"
      clock:advance(5)
    end)
    assert.same({ "inner", "after", "outer" }, order)
  end)

  it("inside a task is a task of its own that is awaited", function()
    assert.equal(3, (keycycle.run(function()
      return keycycle.run(function() return 3 end)
    end)))
  end)

  it("says so when nothing can ever go on", function()
    local clock, closed = manual(), false
    local ok, err = pcall(keycycle.run, function()
      local held <close> = setmetatable({}, { __close = function() closed = true end })
      wait_on(clock, 1)
      return held
    end)
    assert.is_false(ok)
    assert.is_true(keycycle.is(err, keycycle.KeycycleError))
    assert.equal("deadlock", err.code)
    assert.is_true(closed)
    assert.equal(0, keycycle.step(0))
  end)
end)

describe("a failure that nobody awaits", function()
  local lines
  before_each(function()
    lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() log.set_sink(nil) end)

  it("is told with its traceback when the task is collected", function()
    keycycle.spawn(function() error "nobody looks" end)
    finish_all()
    collectgarbage()
    collectgarbage()
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("nobody looks", 1, true))
    assert.truthy(lines[1]:find("traceback", 1, true))
  end)

  it("is not told when it was awaited or cancelled", function()
    local t = keycycle.spawn(function() error "seen" end)
    pcall(t.await, t)
    keycycle.spawn(function() end):cancel()
    t = nil -- luacheck: ignore
    finish_all()
    collectgarbage()
    collectgarbage()
    assert.same({}, lines)
  end)
end)

describe("a wait", function()
  it("never yields into a coroutine that is not the task's", function()
    local inner_status
    keycycle.run(function()
      local other = false
      keycycle.spawn(function() other = true end)
      local co = coroutine.create(function()
        keycycle.sleep(0)
        return "slept"
      end)
      local ok, value = coroutine.resume(co)
      inner_status = { ok, value, coroutine.status(co), other }
    end)
    assert.same({ true, "slept", "dead", false }, inner_status)
  end)

  it("does not turn while it blocks, though tasks could go on", function()
    local core = require "keycycle.core"
    local ran, steps, step = false, 0, core.step
    local t = keycycle.spawn(function() ran = true end)
    core.step = function(...)
      steps = steps + 1
      return step(...)
    end
    keycycle.sleep(0.03)
    core.step = step
    assert.is_false(ran)
    assert.is_true(steps < 10, steps .. " turns")
    t:await()
    assert.is_true(ran)
  end)

  it("on a manual clock raises at once outside of a task", function()
    local ok, err = pcall(task.wait_clock, 5, manual(), "come back")
    assert.is_false(ok)
    assert.equal("come back", err)
  end)

  it("goes through task.wrap to the task, other yields to the caller", function()
    local got, other = {}, 0
    keycycle.run(function()
      keycycle.spawn(function() other = other + 1 end)
      local each = keycycle.wrap(function()
        for i = 1, 2 do
          keycycle.sleep(0)
          coroutine.yield(i)
        end
      end)
      for i in each do got[#got + 1] = i end
    end)
    assert.same({ 1, 2 }, got)
    assert.equal(1, other)
  end)

  it("closes a wrapped generator that fails", function()
    local closed = false
    local generator = keycycle.wrap(function()
      local held <close> = setmetatable({}, { __close = function() closed = true end })
      error("from " .. type(held), 0)
    end)
    local ok, err = pcall(generator)
    assert.is_false(ok)
    assert.equal("from table", err)
    assert.is_true(closed)
  end)

  it("blocks in a wrapped generator outside of tasks", function()
    local each = keycycle.wrap(function()
      keycycle.sleep(0)
      coroutine.yield "a"
    end)
    assert.equal("a", each())
    assert.is_nil(each())
  end)
end)

describe("task.end_all", function()

  it("has every task close what it holds", function()
    local closed, why = 0, {}
    local function hold()
      local held <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      local ok, err = pcall(keycycle.sleep, 1000)
      why[#why + 1] = not ok and err.message
      keycycle.sleep(1000)
      return held
    end
    local tasks = {}
    for i = 1, 3 do tasks[i] = keycycle.spawn(hold) end
    keycycle.step(0)
    tasks[4] = keycycle.spawn(function() closed = -1 end) -- has not begun
    task.end_all "the end"
    assert.equal(3, closed)
    assert.same({ "the end", "the end", "the end" }, why)
    for _, t in ipairs(tasks) do assert.equal("cancelled", t:status()) end
    assert.equal(0, keycycle.step(0))
  end)

  it("leaves one that does not end", function()
    local go_on = true
    local t = keycycle.spawn(function()
      while go_on do coroutine.yield() end
    end)
    keycycle.step(0)
    task.end_all "the end"
    assert.equal("ready", t:status())
    go_on = false
    keycycle.step(0)
    assert.equal("done", t:status())
  end)

  it("ends by what a debug hook raises in a task: the program is stopped, not it alone", function()
    local others = 0
    local main = coroutine.running()
    local ok, err = pcall(keycycle.run, function()
      keycycle.spawn(function()
        debug.sethook(main, function()
          debug.sethook(main)
          error("stop", 0)
        end, "", 1)
        error("mine", 0)
      end)
      keycycle.sleep(0)
      keycycle.sleep(0)
      others = others + 1
    end)
    assert.same({ false, "stop", 0 }, { ok, err, others })
  end)
end)
