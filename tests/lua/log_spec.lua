local keycycle = require "keycycle"
local log = keycycle.log

describe("the log", function()
  local lines
  before_each(function()
    lines = {}
    log.set_sink(function(level, line) lines[#lines + 1] = level .. ": " .. line end)
  end)
  after_each(function()
    log.set_sink(nil)
    log.set_level "warn"
  end)

  it("says what is at its level or above", function()
    for _, name in ipairs { "error", "warn", "info", "debug" } do log[name]("%s %d", name, 1) end
    assert.same({ "error: error 1", "warn: warn 1" }, lines)
    log.set_level "debug"
    log.debug "100%"
    assert.equal("debug: 100%", lines[3])
    log.set_level "off"
    log.error "x"
    assert.equal(3, #lines)
  end)

  it("says it in one line, whatever is in it", function()
    log.warn("a %s", "b\nkeycycle error: c\27[31m")
    assert.same({ "warn: a b keycycle error: c [31m" }, lines)
  end)

  it("refuses a level that is none", function()
    assert.has_error(function() log.set_level "loud" end)
  end)

  it("survives its sink", function()
    log.set_sink(error)
    log.error "x"
  end)
end)
