require "keycycle"
local breaker = require "keycycle.call.breaker"

-- A breaker whose pauses are the longest of their span, and how often it told those
-- who wait to ask again.
local function new()
  local told = { n = 0 }
  local b = breaker.new { rng = function() return 1 end,
    release = function() told.n = told.n + 1 end }
  return b, told
end

-- One that is open at `now`: two calls, of which the first had five failures.
local function opened(now)
  local b, told = new()
  local one, two = b:enter(), b:enter()
  for i = 1, 5 do
    local seconds = one:failed(now)
    assert.equal(i == 5 and 0.5 or nil, seconds)
  end
  return b, one, two, told
end

describe("a breaker", function()
  it("lets all calls go while the provider answers", function()
    local b = new()
    local one, two = b:enter(), b:enter()
    for _ = 1, 20 do
      assert.is_true(one:go(100))
      assert.is_true(two:go(100))
      for _ = 1, 4 do one:failed(100) end
      two:worked()
    end
    assert.equal(0, b:retry_after(100))
  end)

  it("holds calls back after five failures in a row", function()
    local b, one, two, told = opened(100)
    for _, pass in ipairs { one, two, b:enter() } do
      local go, seconds = pass:go(100.1)
      assert.is_false(go)
      assert.is_true(math.abs(seconds - 0.4) < 1e-6)
    end
    assert.is_true(math.abs(b:retry_after(100.1) - 0.4) < 1e-6)
    assert.equal(1, told.n)
  end)

  it("never holds a call back that is alone", function()
    local b = new()
    for call = 1, 10 do
      local pass = b:enter()
      for try = 1, 6 do
        local now = 100 + call + try / 10
        assert.is_true(pass:go(now))
        assert.is_nil(pass:failed(now))
      end
      pass:close()
    end
  end)

  it("takes failures that are far apart for no row", function()
    local b = new()
    local pass = b:enter()
    b:enter()
    for i = 1, 20 do assert.is_nil(pass:failed(100 + 31 * i)) end
  end)

  it("lets one call at a time look whether the provider is back", function()
    local b, one, two = opened(100)
    assert.is_true(one:go(100.5))
    local go, seconds = two:go(100.5)
    assert.is_false(go)
    assert.is_nil(seconds, "the first one's attempt will tell")
    assert.is_true(one:go(100.6), "it may go on")
    assert.is_true((two:go(100.6, true)), "who cannot be told need not wait for it")
    assert.equal(0.5, b:retry_after(100.6))
  end)

  it("waits longer after each attempt in vain, up to ten seconds", function()
    local b, one, two, told = opened(100)
    local now, pauses = 100.5, {}
    for i = 1, 7 do
      assert.is_true(one:go(now))
      pauses[i] = one:failed(now)
      assert.is_false((two:go(now + pauses[i] - 0.01)))
      now = now + pauses[i]
    end
    assert.same({ 1, 2, 4, 8, 10, 10, 10 }, pauses)
    assert.equal(8, told.n)
    assert.equal(8, b.rounds)
  end)

  it("waits for as long as the provider asked, but no hour", function()
    local _, one = opened(100)
    assert.is_true(one:go(100.5))
    assert.equal(21, one:failed(100.5, 20))
    assert.is_true(one:go(121.5))
    assert.equal(62, one:failed(121.5, 3600))
  end)

  it("learns nothing from failures of calls that were under way", function()
    local b, one, two = opened(100)
    assert.is_nil(two:failed(100.2))
    assert.is_true(one:go(100.5))
    assert.is_nil(two:failed(100.6))
    assert.equal(1, b.rounds)
  end)

  it("lets all go at the first answer, whoever got it", function()
    for _, who in ipairs { 1, 2 } do
      local b, one, two, told = opened(100)
      assert.is_true(one:go(100.5))
      assert.is_true((({ one, two })[who]):worked())
      assert.equal(2, told.n)
      assert.is_true(one:go(100.5))
      assert.is_true(two:go(100.5))
      assert.is_false(two:worked())
      for i = 1, 4 do assert.is_nil(one:failed(101), i) end
      assert.equal(0.5, one:failed(101), "and begins again")
      assert.equal(2, b.calls)
    end
  end)

  it("has another look where the one who looked gave up or ended", function()
    for _, ending in ipairs { "gave_up", "close" } do
      local b, one, two, told = opened(100)
      assert.is_true(one:go(100.5))
      one[ending](one)
      assert.equal(2, told.n)
      assert.is_true(two:go(100.5))
      two[ending](one)
      assert.equal(two, b.probe, "only its own")
    end
  end)

  it("counts calls until they end, once", function()
    local b = new()
    do
      local one <close>, two = b:enter(), b:enter()
      two:close()
      two:close()
      assert.equal(1, b.calls)
      assert.is_true(one:go(1))
    end
    assert.equal(0, b.calls)
  end)
end)
