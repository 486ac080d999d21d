local core = require "keycycle.core"
local delay = require "keycycle.refusal.delay"

local DAY = 86400
local NOW = 1767225600 -- 2026-01-01T00:00:00Z

describe("a duration", function()
  it("is read in the form of Go and of protobuf", function()
    for text, seconds in pairs { ["12ms"] = 0.012, ["1s"] = 1, ["6m0s"] = 360,
      ["2m59.56s"] = 179.56, ["17.399999999s"] = 17.399999999, ["4h17m"] = 15420,
      ["1h23m45.6s"] = 5025.6, ["1d2h"] = 93600, ["34.074824224s"] = 34.074824224,
      ["6m 11.52s"] = 371.52, ["900ms"] = 0.9, ["5us"] = 5e-6, ["5µs"] = 5e-6 } do
      assert.near(seconds, delay.duration(text), 1e-9)
    end
    for _, text in ipairs { "", "5", "s", "1.2.3s", "5x", "-5s" } do
      assert.is_nil(delay.duration(text), text)
    end
  end)
end)

describe("a field that states a delay", function()
  it("may have every form that providers use", function()
    local forms = { [2] = 2, ["33011.382867"] = 33011.382867, ["48s"] = 48,
      ["2026-01-01T00:01:00Z"] = 60, ["Thu, 01 Jan 2026 00:00:30 GMT"] = 30, [NOW + 5] = 5,
      [tostring(NOW + 6)] = 6, [(NOW + 7) * 1000] = 7, ["\"api\";r=0;t=112"] = 112, [0] = 0 }
    for value, seconds in pairs(forms) do
      assert.near(seconds, delay.of_value(value, NOW), 1e-6)
    end
  end)

  it("is at most a day, and nothing where it is past or no time", function()
    assert.equal(DAY, delay.of_value(1e6, NOW))
    assert.equal(DAY, delay.of_value("999h", NOW))
    for _, value in ipairs { -1, NOW - 5, "soon", "", 0 / 0, true, {}, ("1"):rep(300),
      "2025-12-31T00:00:00Z" } do
      assert.is_nil(delay.of_value(value, NOW), tostring(value))
    end
    assert.is_nil(delay.of_value(nil, NOW))
  end)
end)

describe("the headers of a refusal", function()
  it("state the larger of both delays", function()
    local function of(ms, s)
      return delay.of_headers({ ["retry-after-ms"] = ms, ["retry-after"] = s }, NOW)
    end
    assert.equal(1, of("0", "1"))
    assert.equal(1.5, of("1500", "1"))
    assert.equal(2, of("1500", "2"))
    assert.equal(0, of("0", nil))
    assert.equal(3, of("x", "3"))
    assert.equal(0.25, of("250", "soon"))
    assert.is_nil(of("-5", "-5"))
  end)
end)

describe("a sentence", function()
  it("states a delay after the words that ask to wait", function()
    local sentences = {
      ["Please try again in 6m11.52s."] = 371.52, ["Please try again in 20s. Visit x"] = 20,
      ["Please retry in 48.939935699s."] = 48.939935699, ["Please retry after 22 seconds. Go"] = 22,
      ["Please wait 52220 seconds before retrying."] = 52220, ["try again in 6m 11.52s"] = 371.52,
      ["Try again in 2 minutes"] = 120, ["wait for 1 hour, 5 minutes"] = 3900,
      ["TRY AGAIN IN 150MS"] = 0.15, ["Your quota will reset after 1h0m5s."] = 3605,
      ["Try again in 1 day"] = DAY, ["retry after 3 days"] = DAY,
    }
    for text, seconds in pairs(sentences) do
      assert.near(seconds, delay.of_text(text), 1e-6)
    end
  end)

  it("states none without them, or without a unit", function()
    for _, text in ipairs { "Limit 30000, Used 29000, 20s", "it took 5 seconds", "retry later",
      "try again in 5 attempts", "retry after 60", "waiting 5 seconds", "try again in a moment",
      "If you just verified, it can take up to 15 minutes", "", "retry in s", "wait .5s" } do
      assert.is_nil(delay.of_text(text), text)
    end
  end)

  it("states the longest of several", function()
    assert.equal(30, delay.of_text "try again in 5s, or better retry after 30 seconds")
  end)

  it("is looked at in its begin only", function()
    assert.is_nil(delay.of_text(("x"):rep(3000) .. " try again in 5s"))
  end)
end)

describe("the window of a calendar", function()
  it("ends at the next midnight of a zone", function()
    assert.equal(DAY, delay.until_reset("day", "UTC", NOW))
    assert.equal(1, delay.until_reset("day", "UTC", NOW + DAY - 1))
    assert.equal(8 * 3600, delay.until_reset("day", "America/Los_Angeles", NOW))
    assert.equal(7 * 3600, delay.until_reset("day", "America/Los_Angeles", 1782864000))
  end)

  it("ends with the month", function()
    assert.equal(31 * DAY, delay.until_reset("month", "UTC", NOW))
    assert.equal(1, delay.until_reset("month", "UTC", NOW - 1))
    assert.equal(28 * DAY, delay.until_reset("month", "UTC", NOW + 31 * DAY))
    -- It is still December there.
    assert.equal(8 * 3600, delay.until_reset("month", "America/Los_Angeles", NOW))
    assert.equal(31 * DAY - 3600,
      delay.until_reset("month", "America/Los_Angeles", NOW + 9 * 3600))
    -- It is the new year already there.
    assert.equal(31 * DAY - 3600, delay.until_reset("month", "Asia/Tokyo", NOW - 8 * 3600))
    assert.equal(21 * DAY, delay.until_reset("month", "UTC", 10 * DAY))
  end)

  it("is not told where no calendar ends it, or the zone is unknown", function()
    assert.is_nil(delay.until_reset("minute", "UTC", NOW))
    assert.is_nil(delay.until_reset(nil, "UTC", NOW))
    assert.is_nil(delay.until_reset("day", "Nowhere/Land", NOW))
    assert.is_nil(delay.until_reset("month", "Nowhere/Land", NOW))
  end)
end)

describe("zone_midnight", function()
  it("is after the time it is asked about", function()
    assert.equal(NOW + DAY, core.zone_midnight("UTC", NOW))
    assert.equal(NOW, core.zone_midnight("UTC", NOW - 0.5))
    assert.is_nil(core.zone_midnight("Nowhere", NOW))
  end)

  it("takes seconds since the epoch and nothing else", function()
    for _, at in ipairs { -1, 1e12, 0 / 0, math.huge, "x" } do
      assert.has_error(function() core.zone_midnight("UTC", at) end)
    end
    assert.has_error(function() core.zone_midnight("UTC") end)
    assert.has_error(function() core.zone_midnight(nil, NOW) end)
  end)
end)
