local keycycle = require "keycycle"
local report = require "keycycle.report"

local plain = { terminal = false, colour = false }
local colour = { terminal = true, colour = true }

local function sink()
  local out = { text = "" }
  function out:write(...) self.text = self.text .. table.concat { ... } end
  function out.flush() end
  return out
end

describe("a bar", function()
  it("is as full as its share", function()
    assert.equal("#####.....", report.bar(0.5, 10, plain))
    assert.equal("..........", report.bar(-1, 10, plain))
    assert.equal("##########", report.bar(7, 10, plain))
    assert.equal("█░", report.bar(0.5, 2, colour))
  end)
end)

describe("a table of keys", function()
  local wrapper, manager
  before_each(function()
    wrapper = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { "sk-test-0123456789abcdefghij", "short" }, limits = { requests_per_minute = 4 } })
    manager = wrapper:get_manager "p"
    manager:get_key "m":commit(7)
    manager:disable(2)
  end)
  after_each(function() wrapper:stop() end)

  it("shows counts, limits and states, and no key", function()
    local out = sink()
    report.print(manager, { out = out, style = plain })
    assert.truthy(out.text:find("efghij", 1, true))
    assert.is_nil(out.text:find("0123456789", 1, true))
    assert.is_nil(out.text:find("short", 1, true))
    assert.truthy(out.text:find("1/4 ###.......", 1, true))
    assert.truthy(out.text:find("disabled", 1, true))
    assert.truthy(out.text:find("p: 1 requests, 7 tokens, 0 in flight", 1, true))
    assert.is_nil(out.text:find("\27", 1, true))
  end)

  it("is coloured on a terminal that wants it, in straight columns", function()
    local out = sink()
    report.print(manager, { out = out, style = colour })
    assert.truthy(out.text:find("\27[32m", 1, true))
    local widths = {}
    for line in out.text:gmatch "[^\n]+" do
      local at = line:gsub("\27%[[%d;]*m", ""):find("ready", 1, true)
      widths[#widths + 1] = at
    end
    assert.equal(1, #widths)
  end)
end)

describe("progress", function()
  it("is one last line where nobody looks", function()
    local out = sink()
    local progress = report.progress(4, { out = out, style = plain })
    progress.show(1)
    assert.equal("", out.text)
    progress.finish(4)
    assert.equal(("#"):rep(30) .. " 4 of 4\n", out.text)
  end)

  it("redraws itself on a terminal", function()
    local out = sink()
    local progress = report.progress(2, { out = out, style = colour })
    progress.show(1)
    assert.truthy(out.text:find("^\r"))
    progress.clear()
    assert.truthy(out.text:find("\r\27[K", 1, true))
  end)
end)

describe("a time", function()
  it("is told in the units that matter", function()
    for seconds, want in pairs { [0] = "0 s", [59.6] = "60 s", [99] = "99 s", [120] = "2 min",
      [6000] = "1 h 40 min", [86400] = "1 d 0 h", [100000] = "1 d 3 h" } do
      assert.equal(want, report.duration(seconds))
    end
  end)
end)

describe("progress of what takes keys", function()
  local time, wait, manager
  before_each(function()
    time, wait = 1000, 0
    manager = { keys = function() return { { state = "ready" }, { state = "cooling" } } end,
      next_available = function(_, model)
        assert.equal("m", model)
        return wait
      end }
  end)

  local function start(total, more)
    local opts = { out = sink(), style = plain, manager = manager, model = "m", every = 60,
      now = function() return time end }
    for name, value in pairs(more or {}) do opts[name] = value end
    return opts.out, report.progress(total, opts)
  end

  local function last_line(out) return out.text:match "([^\n\r]*)[\n]?$" end

  it("tells the rate, the time left and the keys that are ready", function()
    local out, progress = start(100)
    time = time + 10
    progress.finish(20)
    assert.equal(("#"):rep(6) .. ("."):rep(24) .. " 20 of 100  2.0/s  40 s left  "
      .. "1 of 2 keys ready", last_line(out))
  end)

  it("counts what was done before as done, but not as fast", function()
    local out, progress = start(100, { done = 40 })
    progress.finish(40)
    assert.truthy(out.text:find(" 40 of 100  1 of 2 keys ready\n", 1, true), out.text)
    time = time + 120
    progress.finish(50)
    assert.truthy(out.text:find(" 50 of 100  5.0/min  10 min left", 1, true), out.text)
    progress.finish(100)
    assert.truthy(out.text:find(" 100 of 100  30.0/min\n", 1, true), out.text)
  end)

  it("tells when a key has room again, which comes on top", function()
    local out, progress = start(100)
    time, wait = time + 10, 50.2
    progress.finish(20)
    assert.truthy(out.text:find("2.0/s  90 s left  0 of 2 keys ready, one in 50 s\n", 1, true),
      out.text)
    wait = nil -- no key will ever have
    progress.finish(20)
    assert.truthy(out.text:find("40 s left  1 of 2 keys ready\n", 1, true), out.text)
  end)

  it("needs no total", function()
    local out, progress = start(nil)
    time = time + 2
    progress.finish(3)
    assert.equal("3 done  1.5/s  1 of 2 keys ready\n", out.text)
    local _, empty = start(0)
    empty.finish(0)
  end)

  it("is a line now and then where nobody looks", function()
    local out, progress = start(100)
    for _ = 1, 130 do
      time = time + 1
      progress.show(1)
    end
    assert.equal(2, select(2, out.text:gsub("\n", "")))
  end)

  it("is never wider than the terminal", function()
    for width = 1, 120 do
      local out, progress = start(100, { style = { terminal = true, colour = true,
        width = width } })
      time = time + 10
      progress.show(20)
      local text = out.text:gsub("\27%[K", ""):gsub("\r", "")
      assert.is_true(utf8.len(text) < width or width == 1 and text == "", text)
    end
  end)
end)
