local keycycle = require "keycycle"
local log = require "keycycle.log"
local policy = require "keycycle.policy"
local scripts = require "keycycle.loader.scripts"

local function failure(kind, more)
  local f = { kind = kind, scope = "key", status = 500, provider = "p", model = "m",
    key_index = 1, attempt = 1, key_attempt = 1, elapsed = 0, keys_ready = 2, streaming = false }
  for k, v in pairs(more or {}) do f[k] = v end
  return f
end

local function default(kind, more)
  return policy.decide(policy.get "default", failure(kind, more))
end

describe("the default policy", function()
  it("waits for what passes by itself, on the same key", function()
    for _, kind in ipairs { "temporary", "overloaded", "server" } do
      local action, seconds = default(kind)
      assert.equal("retry", action, kind)
      assert.is_true(seconds >= 0 and seconds <= 0.25)
    end
  end)

  it("waits at least as long as it was asked to", function()
    local action, seconds = default("temporary", { status = 429, retry_after = 4 })
    assert.equal("retry", action)
    assert.is_true(seconds > 4 and seconds <= 4.25)
  end)

  it("rotates when a quota is spent", function()
    local action, seconds = default("quota", { status = 429, retry_after = 60 })
    assert.equal("rotate", action)
    assert.equal(0, seconds)
  end)

  it("takes a key out that is refused or unpaid", function()
    assert.equal("disable", (default("auth", { status = 401 })))
    assert.equal("disable", (default("payment", { status = 402 })))
  end)

  it("fails where another key would not help", function()
    for _, kind in ipairs { "invalid_request", "context_length", "request_too_large",
      "content_policy", "not_found", "permission_region", "transport", "never heard of" } do
      assert.equal("fail", (default(kind, { scope = "request" })), kind)
    end
  end)

  it("does not try one key for ever", function()
    local action = default("temporary", { key_attempt = 9, attempt = 9 })
    assert.equal("rotate", action)
  end)

  it("gives up on a server that no attempt reached", function()
    local unreached = failure("server", { attempt = 1 })
    unreached.status = nil
    assert.equal("retry", (policy.decide(policy.get(), unreached)))
    unreached.attempt, unreached.key_attempt = 9, 9
    assert.equal("fail", (policy.decide(policy.get(), unreached)))
  end)
end)

describe("a policy of the program", function()
  local lines
  before_each(function()
    lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() log.set_sink(nil) end)

  it("is asked with all that is known", function()
    local seen
    local mine = keycycle.policy { name = "mine", max_retries = 1, decide = function(f)
      seen = f
      return "rotate", 2
    end }
    local given = failure "server"
    local action, seconds = policy.decide(mine, given)
    assert.equal("rotate", action)
    assert.equal(2, seconds)
    assert.equal(given, seen)
  end)

  it("may be a function alone", function()
    local mine = policy.get(function() return "fail" end)
    assert.equal("fail", (policy.decide(mine, failure "server")))
  end)

  it("leaves to the default what it does not answer", function()
    for _, answer in ipairs { false, "sleep", 7, {} } do
      local mine = policy.get(function() return answer or nil end)
      assert.equal("rotate", (policy.decide(mine, failure "quota")))
      assert.equal(answer and 1 or 0, #lines, "no answer is no fault")
      lines = {}
    end
  end)

  it("is warned of once, not at each call", function()
    local mine = policy.define { name = "mine", decide = function() return "sleep\n" end }
    for _ = 1, 3 do policy.decide(mine, failure "quota") end
    local alone = function() return "retry", -1 end
    for _ = 1, 3 do policy.decide(policy.get(alone), failure "quota") end
    assert.equal(2, #lines)
    assert.truthy(lines[1]:find("policy mine answered", 1, true), lines[1])
    assert.is_nil(lines[1]:find "%c")
  end)

  it("leaves it to the default with a warning when it breaks", function()
    local mine = policy.define { name = "mine", decide = function() error "broken" end }
    assert.equal("disable", (policy.decide(mine, failure "auth")))
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("mine", 1, true) and lines[1]:find("broken", 1, true))
  end)

  it("that names a time which is none leaves it to the default", function()
    for _, seconds in ipairs { -5, 0 / 0, 1 / 0, 1e9, "soon", "2", true, {} } do
      local mine = policy.get(function() return "retry", seconds end)
      assert.equal("rotate", (policy.decide(mine, failure "quota")), tostring(seconds))
    end
  end)

  it("has the last word about how long, and may leave it to the provider", function()
    local asked = failure("temporary", { retry_after = 4 })
    local function seconds_of(fn)
      local action, seconds = policy.decide(policy.get(fn), asked)
      assert.equal("retry", action)
      return seconds
    end
    assert.equal(0, seconds_of(function() return "retry", 0 end))
    assert.equal(1.5, seconds_of(function() return "retry", 1.5 end))
    assert.equal(4, seconds_of(function() return "retry" end))
    assert.equal(0, select(2, policy.decide(policy.get(function() return "rotate" end), asked)))
  end)

  local function set(policies)
    scripts.replace { provider = {}, policy = policies, limits = {} }
  end

  it("is found by its name, the program's before the built-in one", function()
    assert.equal("patient", policy.get("patient").name)
    local mine = policy.define { name = "patient", decide = function() return "fail" end }
    set { patient = mine, mine = mine }
    local found, err = policy.get "patient", select(2, pcall(policy.get, "nobody"))
    set {}
    assert.equal(mine, found)
    assert.truthy(err.message:find("default, fail_fast, mine, patient", 1, true))
    assert.are_not.equal(mine, policy.get "patient")
  end)

  it("cannot take the place of the default for what it does not answer", function()
    set { default = policy.define { decide = function() return nil end } }
    local action = policy.decide(policy.get(), failure "quota")
    set {}
    assert.equal("rotate", action)
  end)

  it("is refused with the field's name when it is not one", function()
    local function refused(definition, word)
      local ok, err = pcall(policy.get, definition)
      assert.is_false(ok)
      assert.is_true(keycycle.is(err, keycycle.InvalidConfigurationError))
      assert.truthy(err.message:find(word, 1, true), err.message)
    end
    refused({ decide = print, retries = 3 }, "retries")
    refused({ decide = "no" }, "decide")
    refused({ name = "mine" }, "decide")
    refused({ decide = print, max_retries = "many" }, "max_retries")
    refused({ decide = print, max_retries = -1 }, "max_retries")
    refused({ decide = print, max_retries = 1.5 }, "max_retries")
    refused("impatient", "impatient")
    refused("nobody", "default, fail_fast, patient")
    refused("../policy", "../policy")
    refused(5, "number")
  end)
end)
