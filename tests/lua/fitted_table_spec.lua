--- Tables fit a terminal: what is cut, what is left out, and what never is.
local fitted_table = require "keycycle.report.fitted_table"

local function written(columns, lines, width)
  local text = ""
  local out = { write = function(_, ...) text = text .. table.concat { ... } end }
  fitted_table.write(columns, lines, { out = out, style = {}, width = width })
  return text
end

describe("a text of others", function()
  it("is on one line, and cut between characters", function()
    assert.equal("a b c", fitted_table.shown "a\nb\t\27c")
    assert.equal("äöü", fitted_table.shown("äöü", 3))
    assert.equal("äö…", fitted_table.shown("äöüß", 3))
    assert.equal("…", fitted_table.shown("äöüß", 1))
    assert.equal("a?b", fitted_table.shown "a\255b")
    assert.equal("", fitted_table.shown "")
  end)
end)

describe("a fitted table", function()
  local function columns()
    return { { "", "name", name = 6 }, { "counts", "few", right = true },
      { "", "many", right = true, drop = 1 }, { "", "bar", drop = 2 }, { "", "bars", drop = 2 } }
  end
  local function lines() return { { "abcdefghijklmnop", "1", "22", "###", "#" } } end

  it("has two heads, or one", function()
    assert.equal("                  counts\nname                 few  many  bar  bars\n"
      .. "abcdefghijklmnop       1    22  ###  #\n", written(columns(), lines()))
    assert.equal("b\nc\n", written({ { "", "b" } }, { { "c" } }))
  end)

  it("cuts names, leaves out columns, and then cuts names to nothing", function()
    local function last_line(width)
      return written(columns(), lines(), width):match "([^\n]*)\n$"
    end
    assert.equal("abcdefghijklm…       1    22  ###  #", last_line(39))
    assert.equal("abcdefghijklmnop       1    22", last_line(35))
    assert.equal("abcdefghijk…       1    22", last_line(26))
    assert.equal("abcdefghijklmn…       1", last_line(23))
    assert.equal("abcdefg…       1", last_line(16))
    assert.equal("abc…       1", last_line(5)) -- under its head there is no less
  end)
end)
