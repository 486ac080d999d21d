--- Many calls at once to an aimock that fails at random in each way it has: whatever
--- happens, each call ends with its answer or with one of our errors, no key is shown,
--- nothing is held when all is over, and nothing was counted that was not sent.
local keycycle = require "keycycle"
local session = require "tests.peers.session"
local servers = require "tests.support.servers"

local CALLS = 24 -- of each dialect
local TOKENS = 31 + 12 -- of an answer, by the fixtures

local function shows_a_key(err)
  for _, key in ipairs(session.KEYS) do
    if (tostring(err) .. (err.body or "")):find(key:sub(9, 20), 1, true) then return true end
  end
  return false
end

describe("beside an aimock that fails at random", function()
  local mock
  setup(function()
    mock = servers.aimock "tests/peers/fixtures"
    mock.chaos { dropRate = 0.15, rateLimitRate = 0.15, malformedRate = 0.1,
      disconnectRate = 0.15 }
  end)
  teardown(function() mock.stop() end)

  -- One call, an answer or a stream: how it ended.
  local function outcome(s, n)
    local ok, err = pcall(function()
      if n % 2 == 0 then return s:stream("hello"):text() end
      return s.dialect.text(s:ask "hello")
    end)
    if ok then return "answered" end
    assert.is_true(keycycle.is(err, keycycle.KeycycleError), tostring(err))
    assert.is_false(shows_a_key(err))
    return err.code
  end

  -- How many requests of a session reached the mock.
  local function reached(s)
    local n = 0
    for _, request in ipairs(mock.journal()) do
      if request.headers["x-test-id"] == s.id then n = n + 1 end
    end
    return n
  end

  it("ends every call, and holds and counts no more than is true", function()
    local all, tasks, open = {}, {}, 0
    for i, name in ipairs(session.names()) do
      local s = session.open(mock, name)
      all[i], s.answered = s, 0
      for n = 1, CALLS do
        open = open + 1
        tasks[open] = keycycle.spawn(function()
          if outcome(s, n) == "answered" then s.answered = s.answered + 1 end
          open = open - 1
        end)
      end
    end
    while open > 0 do
      keycycle.step(0.01)
      for _, s in ipairs(all) do s.clock:advance(1) end
    end
    for _, t in ipairs(tasks) do t:await() end
    for _, s in ipairs(all) do
      local requests, tokens, in_flight = table.unpack(s:totals())
      assert.equal(0, in_flight)
      assert.is_true(requests >= s.answered and tokens >= s.answered * TOKENS)
      -- There may be more there: libcurl itself asks again where a kept connection goes
      -- silently.
      assert.is_true(requests <= reached(s))
      assert.is_true(s.answered > 0)
      s.wrapper:stop()
    end
  end)
end)
