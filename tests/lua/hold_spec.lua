local keycycle = require "keycycle"
local core = require "keycycle.core"
local task = require "keycycle.task"

describe("a timer that is finished before its time", function()
  it("wakes who waits for it, by whatever clock", function()
    for _, clock in ipairs { false, keycycle.clock.manual(100) } do
      local timer <close> = core.timer(1000, clock or nil)
      local t = keycycle.spawn(task.wait, timer)
      keycycle.step(0)
      assert.is_false(timer:ready())
      assert.equal("waiting", t:status())
      timer:finish()
      timer:finish()
      keycycle.step(0)
      assert.equal("done", t:status())
      assert.is_true(timer:ready())
    end
    assert.is_nil(core.timeout())
  end)

  it("may have been ready, or closed", function()
    local clock = keycycle.clock.manual(100)
    local timer = core.timer(1, clock)
    clock:advance(1)
    timer:finish()
    assert.is_true(timer:ready())
    timer:close()
    timer:finish()
  end)
end)
