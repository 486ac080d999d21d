local arithmetic = require "keycycle.agent.arithmetic"

describe("arithmetic", function()
  it("has the usual order", function()
    for text, want in pairs { ["1+2*3"] = 7, ["(1+2)*3"] = 9, ["2^3^2"] = 512, ["-2^2"] = -4,
      ["2^-1"] = 0.5, ["10-4-3"] = 3, ["100/10/5"] = 2, ["7 % 4 * 2"] = 6, ["--3"] = 3,
      [" 1.5e3 + .5 "] = 1500.5, ["((((4))))"] = 4, ["2 * -3"] = -6, ["1."] = 1 } do
      assert.equal(want, arithmetic.value(text), text)
    end
    assert.equal("integer", math.type(arithmetic.value "6 / 2"))
  end)

  it("says what it does not understand, and where", function()
    for text, word in pairs { ["os.exit()"] = '"os.exit()" at byte 1', ["1 +"] = "too soon",
      [""] = "too soon", ["1 2"] = '"2" at byte 3', ["(1"] = "too soon", ["0x10"] = '"x10"',
      ["1/0"] = "no finite value", ["0/0"] = "no finite", ["1e999"] = "no finite",
      [("("):rep(500) .. "1" .. (")"):rep(498)] = "too deep", [("-"):rep(500) .. "1"] = "too deep",
      [("1+"):rep(600) .. "1"] = "too long" } do
      local value, why = arithmetic.value(text)
      assert.is_nil(value, text)
      assert.truthy(why:find(word, 1, true), why)
    end
  end)
end)
