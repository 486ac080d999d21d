--- The built-in policies: what each answers to each kind of failure, and what holds
--- for any run of failures.
require "keycycle"
local policy = require "keycycle.policy"

local kinds = { "temporary", "overloaded", "server", "quota", "auth", "payment",
  "invalid_request", "context_length", "request_too_large", "content_policy", "not_found",
  "permission_region", "transport" }

local function failure(kind, more)
  local f = { kind = kind, scope = "key", status = 429, provider = "p", model = "m",
    key_index = 1, attempt = 1, key_attempt = 1, elapsed = 0, keys_ready = 2, streaming = false }
  for k, v in pairs(more or {}) do f[k] = v end
  if f.status == false then f.status = nil end
  return f
end

-- Rows: kind, what else is known, the action, the least and the most seconds.
local function answers(name, rows)
  local asked = policy.get(name)
  for i, row in ipairs(rows) do
    local action, seconds = asked.decide(failure(row[1], row[2]))
    local where = ("%s, row %d (%s)"):format(name, i, row[1])
    assert.equal(row[3], action, where)
    assert.is_true((seconds or 0) >= (row[4] or 0), where .. ": " .. tostring(seconds))
    assert.is_true((seconds or 0) <= (row[5] or 0), where .. ": " .. tostring(seconds))
  end
end

local function all_fail(name, list)
  for _, kind in ipairs(list) do
    answers(name, { { kind, { scope = "request", status = 400 }, "fail" } })
  end
end

local fault = { "invalid_request", "context_length", "request_too_large", "content_policy",
  "not_found", "permission_region", "transport", "never heard of" }

describe("the policy default #pure", function()
  it("answers each kind of failure as the guide says", function()
    answers("default", {
      { "temporary", { retry_after = 2 }, "retry", 2, 2.25 },
      { "temporary", { key_attempt = 3, attempt = 3 }, "retry", 0.5, 1 },
      { "temporary", { key_attempt = 4, attempt = 4 }, "rotate" },
      { "temporary", { key_attempt = 4, attempt = 4, keys_ready = 0 }, "retry", 1, 2 },
      { "quota", { retry_after = 3600 }, "rotate" },
      { "auth", { status = 401 }, "disable" },
      { "auth", { status = 401, keys_ready = 0 }, "disable" },
      { "payment", { status = 402 }, "disable" },
      { "overloaded", { scope = "provider", status = 503 }, "retry", 0.125, 0.25 },
      { "server", { scope = "provider", status = 500, key_attempt = 5 }, "retry", 2, 4 },
    })
    all_fail("default", fault)
  end)

  it("does not wait for one key for long while another is ready", function()
    answers("default", {
      { "temporary", { retry_after = 20 }, "rotate" },
      { "temporary", { retry_after = 20, keys_ready = 0 }, "retry", 20, 20.25 },
      { "temporary", { retry_after = 8, remaining = 5 }, "rotate" },
      { "temporary", { retry_after = 20, scope = "provider" }, "retry", 20, 20.25 },
    })
  end)

  it("rotates from a key without access, and no further than there are keys", function()
    answers("default", {
      { "permission_region", { status = 403 }, "rotate" },
      { "permission_region", { status = 403, keys_ready = 0 }, "fail" },
      { "permission_region", { status = 403, scope = "group" }, "fail" },
      { "permission_region", { status = 403, scope = "provider" }, "fail" },
    })
  end)

  it("backs off from a quota that is the provider's own", function()
    answers("default", { { "quota", { scope = "provider", retry_after = 3 }, "retry", 3, 3.25 } })
  end)

  it("says so when it is told to wait for very long, or when nobody answers", function()
    answers("default", {
      { "overloaded", { retry_after = 3600, scope = "provider" }, "fail" },
      { "temporary", { retry_after = 61, keys_ready = 0 }, "fail" },
      { "server", { status = false, attempt = 2, key_attempt = 2 }, "retry", 0.25, 0.5 },
      { "server", { status = false, attempt = 3, key_attempt = 3 }, "fail" },
    })
  end)
end)

describe("the policy patient #pure", function()
  it("waits short limits out on the same key", function()
    answers("patient", {
      { "quota", { retry_after = 5, window = "minute" }, "retry", 5.5, 6 },
      { "quota", { retry_after = 30, window = "minute" }, "rotate" },
      { "quota", { retry_after = 30, window = "minute", keys_ready = 0 }, "retry", 30.5, 31 },
      { "quota", { retry_after = 5, window = "day" }, "rotate" },
      { "quota", {}, "rotate" },
      { "temporary", { retry_after = 5 }, "retry", 5.5, 6 },
      { "temporary", { retry_after = 30 }, "rotate" },
      { "auth", { status = 401 }, "disable" },
      { "payment", { status = 402 }, "disable" },
      { "permission_region", { status = 403 }, "rotate" },
    })
    all_fail("patient", fault)
  end)

  it("waits longer than the default for a provider that is overloaded", function()
    answers("patient", {
      { "overloaded", { scope = "provider" }, "retry", 0.5, 1 },
      { "overloaded", { scope = "provider", key_attempt = 9, attempt = 9 }, "retry", 30, 60 },
      { "overloaded", { scope = "provider", retry_after = 300 }, "retry", 300.5, 301 },
      { "overloaded", { scope = "provider", retry_after = 700 }, "fail" },
      { "server", { status = false, attempt = 5, key_attempt = 5 }, "retry", 8, 16 },
    })
    assert.is_true(policy.get("patient").max_retries > policy.get("default").max_retries)
  end)
end)

describe("the policy fail_fast #pure", function()
  it("rotates where another key is ready, and fails at once else", function()
    answers("fail_fast", {
      { "quota", { retry_after = 3 }, "rotate" },
      { "quota", { keys_ready = 0 }, "fail" },
      { "quota", { scope = "provider" }, "fail" },
      { "auth", {}, "disable" },
      { "payment", {}, "disable" },
      { "temporary", { retry_after = 0.1 }, "fail" },
      { "overloaded", {}, "fail" },
      { "server", {}, "fail" },
    })
    all_fail("fail_fast", fault)
  end)
end)

-- One call's failures at random: `see(failure, action, seconds)` for each, until the
-- policy or its retries end it. Returns how many there were.
local function random_run(name, see)
  local asked = policy.get(name)
  local most, last, attempt = (asked.max_retries or 5) + 1, nil, 0
  local key, key_attempt = 1, 0
  while attempt < most do
    attempt, key_attempt = attempt + 1, key_attempt + 1
    local asks = math.random(3) == 1 and math.random() * 90 or nil
    local f = failure(kinds[math.random(#kinds)], { attempt = attempt, key_attempt = key_attempt,
      key_index = key, retry_after = asks, keys_ready = math.random(0, 2),
      scope = ({ "key", "model", "group", "provider", "request" })[math.random(5)],
      window = ({ "minute", "day" })[math.random(3)], remaining = ({ 5, 500 })[math.random(3)],
      status = math.random(8) > 1 and 429 or false })
    local action, seconds = policy.decide(asked, f)
    see(f, action, seconds, last)
    if action == "fail" then return attempt end
    last = action == "retry" and { kind = f.kind, seconds = seconds - (f.retry_after or 0) } or nil
    if action ~= "retry" then key, key_attempt = key % 3 + 1, 0 end
  end
  return attempt
end

describe("a built-in policy #pure", function()
  local lines
  before_each(function()
    lines = {}
    require("keycycle.log").set_sink(function(_, line) lines[#lines + 1] = line end)
    math.randomseed(7)
  end)
  after_each(function()
    require("keycycle.log").set_sink(nil)
    assert.same({}, lines)
  end)

  it("ends within its retries, whatever comes", function()
    for _, name in ipairs { "default", "patient", "fail_fast" } do
      for _ = 1, 500 do
        local n = random_run(name, function() end)
        assert.is_true(n <= (policy.get(name).max_retries or 5) + 1)
      end
    end
  end)

  it("never comes back sooner than it was asked to", function()
    for _, name in ipairs { "default", "patient", "fail_fast" } do
      for _ = 1, 500 do
        random_run(name, function(f, action, seconds)
          if action == "retry" then assert.is_true(seconds >= (f.retry_after or 0)) end
          if name == "fail_fast" then assert.equal(0, seconds) end
        end)
      end
    end
  end)

  it("waits longer from try to try on one key, by chance within bounds", function()
    for name, most in pairs { default = 20, patient = 60 } do
      for _ = 1, 500 do
        random_run(name, function(f, action, seconds, last)
          if action ~= "retry" then return end
          local own = seconds - (f.retry_after or 0)
          if last and f.key_attempt > 1 and own < most / 2 - 1e-9 then
            assert.is_true(own >= last.seconds - 1e-9, name)
          end
          assert.is_true(own > 0 and own <= most + 1e-9, name)
        end)
      end
      local seen = {}
      for _ = 1, 20 do
        local _, seconds = policy.get(name).decide(failure("server", { scope = "provider" }))
        seen[seconds] = true
      end
      assert.is_true(next(seen, (next(seen))) ~= nil, "no two callers come back together")
    end
  end)
end)
