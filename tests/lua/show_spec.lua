--- Tables as the prompt shows them.
local keycycle = require "keycycle"
local show = require "keycycle.show"

describe("show", function()
  it("shows a list, then fields in order, in Lua's words", function()
    assert.equal('{\n  1,\n  "a",\n  [-1] = false,\n  [9] = 2.5,\n  ["end"] = 3,\n'
      .. '  ["x y"] = "\\n",\n  z = {},\n}',
      show { 1, "a", z = {}, ["end"] = 3, ["x y"] = "\n", [9] = 2.5, [-1] = false })
  end)

  it("ends in what holds itself, and in what is deep or long", function()
    local t = {}
    t.t = t
    assert.equal("{\n  t = { … },\n}", show(t))
    local both = { 1 }
    assert.equal(2, select(2, show({ both, both }):gsub("1,", "")))
    local deep = {}
    for _ = 1, 50 do deep = { deep } end
    assert.truthy(#show(deep) < 1000)
    local long = {}
    for i = 1, 100000 do long[i] = { i } end
    local _, lines = show(long):gsub("\n", "")
    assert.truthy(lines > 100 and lines < 300)
    assert.truthy(show(long):find "\n  …\n}$")
    local text = show { ("é"):rep(5000) }
    assert.truthy(#text < 700 and utf8.len(text) and text:find("10000 bytes", 1, true))
  end)

  it("takes objects as they say", function()
    local object = setmetatable({}, { __tostring = function() return "an object" end })
    assert.equal("an object", show(object))
    assert.equal("{\n  an object,\n}", show { object })
    assert.equal("nil", show(nil))
    assert.equal("text", show "text")
  end)

  it("gives a terminal no orders", function()
    assert.is_nil(show({ "\27[2J", ["\27k"] = 1 }):find "\27")
  end)

  it("shows no key", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("openai", { keys = { "sk-0123456789abcdefghijkl" } })
    local text = show { "sk-0123456789abcdefghijkl", { api_key = "short" } }
    assert.is_nil(text:find("0123456789", 1, true), text)
    assert.is_nil(text:find("short", 1, true), text)
  end)
end)
