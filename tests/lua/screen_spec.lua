--- What is shown again and again, on a terminal and elsewhere.
local screen = require "keycycle.report.screen"

local function sink()
  local out = { text = "" }
  function out:write(text)
    self.text = self.text .. text
    return not self.full and self or nil, "no space left"
  end
  function out.flush() return true end
  return out
end

describe("a screen", function()
  it("has one after the other where nobody looks", function()
    local out = sink()
    local it_is = screen.new(out, "\n")
    it_is:write("a", "\n")
    assert.equal("", out.text)
    it_is:show()
    it_is:write "b\n"
    it_is:show(false, 40)
    assert.equal("a\n\nb\n", out.text)
  end)

  it("begins at the corner of a terminal, and wipes what was there", function()
    local out = sink()
    local it_is = screen.new(out, "\n")
    it_is:write "a\nb\n"
    it_is:show(true, 24)
    assert.equal("\27[2J\27[Ha\27[K\nb\27[K\n\27[J", out.text)
    out.text = ""
    it_is:write "c\n"
    it_is:show(true)
    assert.equal("\27[Hc\27[K\n\27[J", out.text)
  end)

  it("leaves out what a terminal has no lines for", function()
    for rows = 3, 12 do
      local out = sink()
      local it_is = screen.new(out, "")
      it_is:write(("x\n"):rep(10))
      it_is:show(true, rows)
      assert.equal(math.min(rows - 1, 10), select(2, out.text:gsub("\n", "")))
      assert.equal(rows < 12, out.text:find("…", 1, true) ~= nil)
    end
  end)

  it("raises when nothing more can be written", function()
    local out = sink()
    out.full = true
    assert.has_error(function() screen.new(out, ""):show() end)
  end)
end)
