require "keycycle"
local backoff = require "keycycle.backoff"

local function with(random)
  return backoff.new { rng = function() return random end }
end

describe("the delay before the next try", function()
  it("doubles with each failure, up to the cap", function()
    local most = with(1)
    assert.equal(0.25, most:delay(1))
    assert.equal(0.5, most:delay(2))
    assert.equal(1, most:delay(3))
    assert.equal(20, most:delay(8))
    assert.equal(20, most:delay(5000))
  end)

  it("is left to chance by half, so that it never shrinks", function()
    assert.equal(1, with(0):delay(4))
    assert.equal(1.5, with(0.5):delay(4))
    for tries = 1, 6 do assert.is_true(with(1):delay(tries) <= with(0):delay(tries + 1)) end
  end)

  it("comes on top of what the provider asked for", function()
    assert.equal(7.25, with(1):delay(1, 7))
    assert.equal(70, with(0):delay(8, 60))
    assert.equal(5, with(0):delay(5, 3))
  end)

  it("takes another base and cap", function()
    local other = backoff.new { base = 1, cap = 3, rng = function() return 1 end }
    assert.equal(1, other:delay(1))
    assert.equal(3, other:delay(9))
  end)
end)
