--- What a failed task tells: where it failed, to whoever awaits it, in the log, and at
--- the top of the host; and what misuse is told.
local keycycle = require "keycycle"
local log = require "keycycle.log"
local raises = require "tests.support.raises"
local task = require "keycycle.task"

-- With the eager collector each task costs many collections.
local MANY = os.getenv "KEYCYCLE_EAGER_GC" and 50 or 2000

local function in_the_depth(err) error(err, 0) end

local function fail_with(err)
  in_the_depth(err)
  return "no tail call"
end

local function ours()
  keycycle.MultiClientWrapper.new {}:get_manager "nobody"
end

local function holds(text, ...)
  for _, word in ipairs { ... } do
    assert.truthy(text and text:find(word, 1, true), word .. " is not in: " .. tostring(text))
  end
end

local function finish_all()
  while keycycle.step(0) > 0 do assert(keycycle.timeout(), "a task was left waiting") end
end

describe("a failed task", function()
  it("tells its stack, and raises a text as it is", function()
    local t = keycycle.spawn(fail_with, "plain")
    local ok, err = pcall(t.await, t)
    assert.same({ false, "plain" }, { ok, err })
    holds(t:traceback(), "plain\nstack traceback:\n", "in_the_depth", "task_errors_spec.lua:11:")
    assert.is_nil(keycycle.spawn(function() end):traceback())
  end)

  it("puts its stack into an error object of ours, which reads as before", function()
    local t = keycycle.spawn(ours)
    local err = raises(keycycle.InvalidConfigurationError, "nobody", t.await, t)
    holds(err.traceback, "get_manager", "task_errors_spec.lua")
    assert.is_nil(tostring(err):find("traceback", 1, true))
    assert.is_nil(keycycle.MultiClientWrapper.new {}.traceback)
  end)

  it("writes nothing into what is not ours", function()
    local mine = {}
    local t = keycycle.spawn(fail_with, mine)
    assert.equal(mine, select(2, pcall(t.await, t)))
    assert.is_nil(next(mine))
  end)

  it("tells the stacks of all tasks and generators that its error came through", function()
    local inner = keycycle.spawn(fail_with, "deep")
    local function awaits() return (inner:await()) end
    for _ = 1, 2 do -- each of those who await it has its own way
      local outer = keycycle.spawn(function()
        local function generates() return (awaits()) end
        keycycle.wrap(function() return (generates()) end)()
      end)
      assert.equal("deep", select(2, pcall(keycycle.run, function() outer:await() end)))
      local text = outer:traceback()
      holds(text, "in_the_depth", "awaits", "generates", "raised again in:")
      assert.equal(1, select(2, text:gsub("in_the_depth", "")))
      assert.equal(1, select(2, text:gsub("'awaits'", "")), text)
    end
  end)

  it("lets a host see where it was, through run and gather", function()
    for _, fn in ipairs { function() keycycle.run(fail_with, "up") end,
      function() keycycle.gather { function() keycycle.sleep(3600) end,
        function() fail_with "up" end } end } do
      assert.equal("up", select(2, pcall(fn)))
      holds(task.trace_of "up", "in_the_depth")
    end
    keycycle.step(0)
    assert.is_nil(task.trace_of "up")
  end)
end)

describe("a failure that nobody awaits", function()
  local lines
  before_each(function()
    lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() log.set_sink(nil) end)

  local function collected()
    finish_all()
    for _ = 1, 3 do collectgarbage() end
    return lines
  end

  it("is told once, also where the task had others wait for it", function()
    keycycle.spawn(function()
      local t = keycycle.spawn(fail_with, "alone")
      keycycle.sleep(0)
      return t:status()
    end)
    assert.equal(1, #collected())
    holds(lines[1], "alone", "in_the_depth")
    assert.equal(1, #collected())
  end)

  it("is not told where its stack was asked for", function()
    local t = keycycle.spawn(fail_with, "asked")
    finish_all()
    holds(t:traceback(), "asked")
    t = nil -- luacheck: ignore
    assert.same({}, collected())
  end)
end)

describe("gather", function()
  it("waits for many, and cancels many", function()
    local many = {}
    for i = 1, MANY do
      many[i] = function()
        keycycle.sleep(0)
        return i
      end
    end
    local results = keycycle.gather(many)
    assert.same({ MANY, 1, MANY }, { #results, results[1], results[MANY] })
    local closed = 0
    for i = 1, MANY do
      many[i] = function()
        local held <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        keycycle.sleep(3600)
        return held
      end
    end
    many[MANY // 2] = function()
      keycycle.sleep(0)
      error("one of them", 0)
    end
    local ok, err = pcall(keycycle.gather, many)
    assert.same({ false, "one of them", MANY - 1 }, { ok, err, closed })
    assert.equal(0, keycycle.step(0))
  end)
end)

describe("misuse", function()
  local huge, nan = math.huge, 0 / 0

  local function tells(word, fn, ...)
    local function caller(...) -- what is raised at its level names this file
      local result = fn(...)
      return result
    end
    local ok, err = pcall(caller, ...)
    assert.is_false(ok)
    assert.truthy(err:find("^[^:]*task_errors_spec.lua:%d+: " .. word), err)
  end

  it("of seconds is told by the function's name, at the caller's place", function()
    for _, bad in ipairs { -1, nan, -huge, "x", false, {} } do
      tells("sleep needs seconds, zero or more, not ", keycycle.sleep, bad)
      if bad then tells("step needs seconds", keycycle.step, bad) end
      if bad then tells("step's budget needs seconds", keycycle.step, 0, bad) end
    end
    tells("sleep needs seconds, zero or more, not nil", keycycle.sleep)
  end)

  it("of what is no function or no task is told, too", function()
    for _, bad in ipairs { 1, "x", {} } do
      tells("spawn needs a function, not a ", keycycle.spawn, bad)
      tells("run needs a function, not a ", keycycle.run, bad)
      tells("wrap needs a function, not a ", keycycle.wrap, bad)
    end
    tells("gather needs a list, not a number", keycycle.gather, 5)
    tells("gather: item 2 is neither", keycycle.gather, { function() end, nil, function() end })
    local t = keycycle.spawn(function() end)
    tells("await needs a task, not a nil: task:await%(%)", t.await)
    tells("cancel needs a task", t.cancel, "text")
    t:await()
  end)

  it("is no time that is very long: it can be cancelled", function()
    for _, seconds in ipairs { huge, 1e300, math.maxinteger } do
      local t = keycycle.spawn(keycycle.sleep, seconds)
      assert.equal(1, keycycle.step(0, seconds))
      assert.is_true(keycycle.timeout() > 1e6)
      t:cancel()
      finish_all()
      assert.equal("cancelled", t:status())
    end
  end)
end)
