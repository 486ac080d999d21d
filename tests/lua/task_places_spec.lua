--- Where a call may be made: it yields only in a task's own thread; anywhere else it
--- blocks, runs no other task, and takes no yield that is meant for somebody else.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local function with(mt) return setmetatable({}, mt) end

local function wait()
  keycycle.sleep(0.001)
  return "waited"
end

local package_name = "tests_lua_a_chunk_that_waits"
package.preload[package_name] = function()
  wait()
  return {}
end

-- Each makes a call in the middle of something; what yields in it says so.
local places = {
  { "a function of the task's own", true, wait },
  { "pcall and xpcall", true, function() assert(xpcall(pcall, print, wait)) end },
  { "__index", true, function() return with({ __index = wait }).x end },
  { "__call", true, function() return with({ __call = wait })() end },
  { "__add, __lt, __concat", true, function()
    local t = with { __add = wait, __lt = wait, __concat = wait }
    return t + t, t < t, t .. t
  end },
  { "__close", true, function()
    local held <close> = with { __close = wait }
    return type(held)
  end },
  { "generic for's iterator", true, function()
    for _ in function(_, i) return not i and wait() or nil end do end
  end },
  { "table.sort", false, function()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b)
      wait()
      return a < b
    end)
    assert.same({ 1, 2, 3 }, list)
  end },
  { "gsub", false, function() assert.equal("waited", (("x"):gsub("x", wait))) end },
  { "__tostring", false, function()
    assert.equal("waited", tostring(with { __tostring = wait }))
  end },
  { "__gc", false, function()
    local ran = false
    with { __gc = function() ran = wait() end }
    collectgarbage()
    assert.equal("waited", ran)
  end },
  { "a required chunk", false, function()
    package.loaded[package_name] = nil
    require(package_name)
  end },
  { "a coroutine of the program's own", false, function()
    assert.equal("waited", coroutine.wrap(wait)())
  end },
  { "a coroutine between two generators", false, function()
    local co = coroutine.wrap(function() return keycycle.wrap(wait)() end)
    assert.equal("waited", keycycle.wrap(function() return co() end)())
  end },
  { "a generator in table.sort", false, function()
    local each = keycycle.wrap(function()
      while true do coroutine.yield(wait()) end
    end)
    table.sort({ 2, 1 }, function(a, b) return each() and a < b end)
  end },
  { "a generator", true, function() assert.equal("waited", keycycle.wrap(wait)()) end },
  { "a generator in a generator", true, function()
    local function inner()
      for i = 1, 2 do
        wait()
        coroutine.yield(i)
      end
    end
    local function outer()
      for i in keycycle.wrap(inner) do
        wait()
        coroutine.yield(i * 10)
      end
    end
    local got = {}
    for i in keycycle.wrap(outer) do got[#got + 1] = i end
    assert.same({ 10, 20 }, got)
  end },
}

describe("a call in", function()
  for _, place in ipairs(places) do
    local name, yields, fn = table.unpack(place)
    it(name .. (yields and " lets other tasks run" or " blocks"), function()
      local other
      keycycle.run(function()
        local t = keycycle.spawn(function() other = true end)
        fn()
        assert.equal(yields or nil, other)
        t:await()
      end)
      fn() -- outside of tasks all of them block
      assert.equal(0, core.pending())
    end)
  end

  it("a coroutine leaves its yields to whoever resumes it", function()
    keycycle.run(function()
      local co = coroutine.create(function(first)
        wait()
        local second = coroutine.yield(first + 1)
        wait()
        return second + 1
      end)
      assert.same({ true, 2 }, { coroutine.resume(co, 1) })
      assert.same({ true, 11 }, { coroutine.resume(co, 10) })
      assert.equal("dead", coroutine.status(co))
    end)
  end)

  it("a task that another scheduler's coroutine runs blocks there", function()
    -- A little scheduler: what it is yielded must be its own.
    local yielded, threads = {}, {}
    for i = 1, 2 do
      threads[i] = coroutine.create(function()
        coroutine.yield "mine"
        local t = keycycle.spawn(wait)
        assert.equal("waited", (t:await()))
        assert.equal("waited", keycycle.run(wait))
        coroutine.yield "mine"
      end)
    end
    for _ = 1, 3 do
      for _, co in ipairs(threads) do
        local ok, what = coroutine.resume(co)
        assert.is_true(ok, what)
        yielded[#yielded + 1] = what
      end
    end
    assert.same({ "mine", "mine", "mine", "mine" }, yielded)
  end)
end)

describe("a generator", function()
  it("whose task is cancelled in its wait closes what it holds", function()
    local closed, later = {}, nil
    local function holding(name)
      return with { __close = function() closed[#closed + 1] = name end }
    end
    local t = keycycle.spawn(function()
      local inner = keycycle.wrap(function()
        local held <close> = holding "inner"
        keycycle.sleep(3600)
        return held
      end)
      local outer = keycycle.wrap(function()
        local held <close> = holding "outer"
        inner()
        return held
      end)
      local ok, err = pcall(outer)
      later = { ok, pcall(inner) }
      error(err, 0)
    end)
    keycycle.step(0)
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    assert.same({ "inner", "outer" }, closed)
    assert.same({ false, false, "cannot resume dead coroutine" }, later)
    assert.equal(0, core.pending())
  end)

  it("that fails closes what it holds, whose waits then block", function()
    local slept, other
    keycycle.run(function()
      local t = keycycle.spawn(function() other = true end)
      local each = keycycle.wrap(function()
        local held <close> = with { __close = function() slept = wait() end }
        error("after " .. type(held), 0)
      end)
      local ok, err = pcall(each)
      assert.same({ false, "after table", "waited" }, { ok, err, slept })
      assert.is_nil(other)
      t:await()
    end)
  end)

  it("that is left between two values holds nothing of ours once it is collected", function()
    keycycle.run(function()
      local each = keycycle.wrap(function()
        local timer <close> = core.timer(3600)
        coroutine.yield(1)
        return timer
      end)
      assert.equal(1, each())
      assert.equal(1, core.pending())
    end)
    collectgarbage()
    collectgarbage()
    assert.equal(0, core.pending())
  end)

  it("is called by one task at a time while it waits", function()
    local each = keycycle.wrap(function()
      for i = 1, 2 do
        keycycle.sleep(0.001)
        coroutine.yield(i)
      end
    end)
    local first = keycycle.spawn(each)
    local second = keycycle.spawn(each)
    local ok, err = pcall(second.await, second)
    assert.is_false(ok)
    assert.truthy(err:find("waits for another task", 1, true), err)
    assert.equal(1, (first:await()))
    assert.equal(2, (keycycle.spawn(each):await()))
  end)

  it("goes on in another task once it does not wait", function()
    local each = keycycle.wrap(function()
      for i = 1, 4 do
        wait()
        coroutine.yield(i)
      end
    end)
    for i = 1, 3 do assert.equal(i, (keycycle.run(each))) end
    assert.equal(4, each())
  end)
end)
