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
