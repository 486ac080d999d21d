--- Every provider's bad days over real HTTP, each in its own words: a key at its limit,
--- a dead key, an overloaded answer: what the call does, and where the keys are then.
local keycycle = require "keycycle"
local conform = require "tests.support.conform"
local facts = require "tests.support.facts"
local raises = require "tests.support.raises"

setup(conform.start)
teardown(conform.stop)

local DAY = 86400
local MIDNIGHT_UTC = 80000     -- seconds after both clocks' begin
local MIDNIGHT_PACIFIC = 18800
local NEXT_MONTH = 1894400
local UNTIL_STATED = { minute = { "cooling", 20 }, day = { "exhausted", DAY } }
-- What states no delay is asked again soon, and then less and less often.
local SOON = { "cooling", nil }

-- By provider: the state of the key, and for how many seconds, by the minute's refusal and
-- by the one of its longest window.
local limited = {
  azure_openai = UNTIL_STATED, openai = UNTIL_STATED, anthropic = UNTIL_STATED,
  groq = UNTIL_STATED, cerebras = UNTIL_STATED, llamacpp = UNTIL_STATED, vllm = UNTIL_STATED,
  gemini = { minute = { "cooling", 20 }, day = { "exhausted", MIDNIGHT_PACIFIC } },
  gemini_openai = { minute = { "cooling", 20 }, day = { "exhausted", MIDNIGHT_PACIFIC } },
  openrouter = { minute = { "cooling", 20 }, day = { "exhausted", MIDNIGHT_UTC } },
  twelvelabs = { minute = { "cooling", 20 }, day = { "exhausted", MIDNIGHT_UTC } },
  cohere = { minute = SOON, day = { "exhausted", NEXT_MONTH } },
  mistral = { minute = SOON, day = { "exhausted", NEXT_MONTH } },
  sambanova = { minute = { "cooling", 20 }, day = { "exhausted", 4 * 3600 + 17 * 60 } },
  huggingface = { minute = { "exhausted", 112 }, day = { "exhausted", NEXT_MONTH } },
  together = { minute = { "cooling", 20 } }, fireworks = { minute = { "cooling", 20 } },
  cloudflare = { day = { "exhausted", MIDNIGHT_UTC } },
  xai = { minute = SOON }, perplexity = { minute = SOON }, nvidia = { minute = SOON },
  ollama = { minute = { "exhausted", 300 } }, -- of an hour whose end it does not tell
  deepseek = {}, -- see below: it limits what runs at once, nothing else
}

-- What its overloaded answer means where that is another thing. OpenRouter's free models
-- are limited upstream, whatever the key: a limit, but none of ours.
local busy = { openrouter = { "temporary", keycycle.RateLimitError, "rate_limited" } }

-- 401 and the others that say that a key is dead.
local dead_status = { gemini = 400, gemini_openai = 400, xai = 400 }

local lines
before_each(function()
  lines = {}
  keycycle.log.set_level "debug"
  keycycle.log.set_sink(function(...) lines[#lines + 1] = { ... } end)
end)
after_each(function()
  keycycle.log.set_sink(nil)
  keycycle.log.set_level "warn"
end)

-- Nothing that a program can see holds a key.
local function check_secrets(s, ...)
  assert.is_false(conform.shows_key { lines, s.manager:keys(), s.manager:explain(s.fact.model),
    s.manager:metrics(), s.manager:get_global_stats(), tostring(s.client), ... })
end

-- Key 2 answered for key 1, and both are counted as the provider counts them.
local function check_rotated(s, response, kind)
  assert.equal("You said: Hello", s.form.text(response))
  local info = keycycle.info(response)
  assert.same({ { 1, 2 }, { kind, "ok" }, 0 }, { conform.trail(info.attempts, "key_index"),
    conform.trail(info.attempts, "kind"), info.waited })
  local _, count = s:last()
  assert.equal(2, count)
  assert.same({ { 1, 0, 0 }, { 1, s:journal()[2].total_tokens, 0 } }, { s:used(1), s:used(2) })
  check_secrets(s, info, response)
end

local function check_state(s, index, expected)
  local key = s.manager:keys()[index]
  assert.equal(expected[1], key.state)
  local seconds = key.until_at - conform.START
  if expected[2] then
    assert.near(expected[2], seconds, 0.05)
  else
    assert.is_true(seconds > 0 and seconds <= 60, "it is away for " .. seconds .. " s")
  end
  return seconds
end

it("a key that is shown anywhere would be noticed", function()
  assert.is_true(conform.shows_key { { here = { "Bad " .. conform.KEYS[2] .. "!" } } })
  assert.is_false(conform.shows_key { "aaaa-1", 5, { [true] = "bbbb-2" } })
end)

for _, name in ipairs(facts.names()) do
  describe("the provider " .. name .. ", whose", function()
    local s
    local function open(...) s = conform.open(name, ...) end
    after_each(function() s:close() end)

    for window, expected in pairs(limited[name]) do
      local function options(keys)
        if window == "day" then return { spent = keys } end
        local faults = {}
        for i in ipairs(keys) do
          faults[i] = { key = i, kind = "limited", window = "minute" }
        end
        return { faults = faults }
      end

      it("key is at the limit of a " .. window .. ", goes on with another", function()
        open(options { conform.KEYS[1] })
        check_rotated(s, s:ask "Hello", "quota")
        check_state(s, 1, expected)
        assert.equal("ready", s:states()[2])
        -- The limited one is not even tried.
        assert.equal(2, keycycle.info(s:ask "again").key_index)
        assert.same({ 1, 2 }, { s:used(1)[1], s:used(2)[1] })
      end)

      it("keys are all at the limit of a " .. window .. ", says for how long", function()
        open(options(conform.KEYS))
        local err = raises(keycycle.NoAvailableKeyError, nil, s.ask, s, "Hello")
        local seconds = math.min(check_state(s, 1, expected), check_state(s, 2, expected))
        -- SambaNova's headers tell how many requests others made of the day, not when: a
        -- whole day is allowed for them.
        if name ~= "sambanova" then assert.near(seconds, err.retry_after, 0.05) end
        assert.is_true(err.retry_after > seconds - 0.05)
        assert.same({ { 1, 2 }, { "quota", "quota" } }, { conform.trail(err.attempts, "key_index"),
          conform.trail(err.attempts, "kind") })
        check_secrets(s, err, tostring(err))
        raises(keycycle.NoAvailableKeyError, nil, s.ask, s, "Hello", { wait = false })
        local _, count = s:last()
        assert.equal(2, count)
      end)

      it("key is at the limit of a " .. window .. ", is refused where no other may be tried",
        function()
          open(options(conform.KEYS))
          local err = raises(keycycle.RateLimitError, nil, s.ask, s, "Hello", { max_retries = 0 })
          assert.same({ "rate_limited", 1, "aaaa-1" },
            { err.code, #err.attempts, err.key_suffix })
          if window == "minute" and expected[1] == "cooling" and expected[2] then
            assert.near(expected[2], err.retry_after, 0.05)
          end
          check_secrets(s, err, tostring(err))
        end)
    end

    it("key is dead, takes it out and goes on with another", function()
      open { dead = { conform.KEYS[1] } }
      check_rotated(s, s:ask "Hello", "auth")
      assert.same({ "suspended", "ready" }, s:states())
      assert.equal(2, keycycle.info(s:ask "again").key_index)
    end)

    it("key is dead, streams from another", function()
      open { dead = { conform.KEYS[1] } }
      local stream = s:stream "one two three"
      assert.equal("You said: one two three", stream:text())
      local info = keycycle.info(stream)
      assert.same({ { 1, 2 }, { "suspended", "ready" } },
        { conform.trail(info.attempts, "key_index"), s:states() })
      check_secrets(s, info)
    end)

    it("keys are all dead, says so and shows none of them", function()
      open { dead = conform.KEYS }
      local err = raises(keycycle.InvalidKeyError, nil, s.ask, s, "Hello")
      assert.equal(dead_status[name] or 401, err.status)
      assert.same({ "suspended", "suspended" }, s:states())
      check_secrets(s, err, tostring(err))
      raises(keycycle.InvalidKeyError, nil, s.ask, s, "Hello")
      local _, count = s:last()
      assert.equal(2, count)
    end)

    it("refusal repeats the key, shows it nowhere", function()
      local body = keycycle.json.encode { error = { message = "Bad key " .. conform.KEYS[1],
        code = conform.KEYS[1] }, message = conform.KEYS[1] }
      open { faults = { { status = 400, body = body, headers = { ["x-key"] = conform.KEYS[1] } } } }
      local err = raises(keycycle.APIError, nil, s.ask, s, "Hello")
      assert.truthy(err.message)
      check_secrets(s, err, tostring(err))
    end)

    it("servers are overloaded, tries the same key again after a pause", function()
      open { faults = { { kind = "overloaded", times = 1 } } }
      local info = s:meanwhile(function() return keycycle.info(s:ask "Hello") end)
      local kind = (busy[name] or { "overloaded" })[1]
      assert.same({ { kind, "ok" }, { 1, 1 } }, { conform.trail(info.attempts, "kind"),
        conform.trail(info.attempts, "key_index") })
      assert.is_true(info.waited > 0)
      assert.same({ "ready", "ready" }, s:states())
      assert.equal(2, select(2, s:last()))
    end)

    it("servers are overloaded, fails at once where that is the policy", function()
      open({ faults = { { kind = "overloaded" } } }, { policy = "fail_fast" })
      local expected = busy[name] or { nil, keycycle.APIError, "overloaded" }
      local err = raises(expected[2], nil, s.ask, s, "Hello")
      assert.same({ expected[3], 1 }, { err.code, #err.attempts })
      assert.same({ "ready", "ready" }, s:states())
      local used = s:used()
      assert.same({ 1, 0 }, { used[1], used[3] })
      check_secrets(s, err, tostring(err))
    end)
  end)
end

describe("the provider deepseek, which limits what runs at once,", function()
  it("waits and asks the same key, then another, and puts none away", function()
    local s <close> = conform.open("deepseek", { faults = { { key = 1, kind = "limited",
      window = "minute" } } })
    local info = s:meanwhile(function() return keycycle.info(s:ask "Hello") end)
    assert.same({ 1, 1, 1, 1, 2 }, conform.trail(info.attempts, "key_index"))
    assert.same({ "temporary", "temporary", "temporary", "temporary", "ok" },
      conform.trail(info.attempts, "kind"))
    assert.same({ "ready", "ready" }, s:states())
  end)
end)
