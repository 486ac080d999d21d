local builtin = require "keycycle.loader.builtin"
local keycycle = require "keycycle"
local limit_table = require "keycycle.limit.table"
local raises = require "tests.support.raises"
local scripts = require "keycycle.loader.scripts"

local Invalid = keycycle.InvalidConfigurationError

describe("the built-in table of limits of", function()
  for _, name in ipairs(builtin.names "limits") do
    it(name .. " is in the form of a user's, of a known provider, and says its source", function()
      local read = limit_table.read(builtin.get("limits", name), name)
      assert.is_true(#read.source > 5)
      assert.truthy(read.date:match "^2026%-%d%d%-%d%d$")
      assert.truthy(builtin.get("provider", name))
      assert.is_true(read.base ~= nil or next(read.tiers) ~= nil)
    end)
  end

  it("those that the guide names limits the free plan where no tier is named", function()
    for _, name in ipairs { "cerebras", "groq", "gemini", "openrouter", "cohere" } do
      local read = limit_table.of(name, builtin.get("provider", name))
      assert.truthy(read.base, name)
      assert.equal("free", read.tier)
    end
  end)

  it("those that go by the money paid limits nothing until a tier is named", function()
    for _, name in ipairs { "openai", "anthropic", "mistral", "sambanova", "fireworks" } do
      local read = limit_table.of(name, builtin.get("provider", name))
      assert.is_nil(read.base, name)
      assert.truthy(next(read.tiers), name)
    end
  end)
end)

-- What holds for a key of a provider, its tier and a model: figures of the providers'
-- own pages.
describe("a key of", function()
  local function held(name, tier, model)
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider(name, { keys = { { api_key = "sk-test-0123456789abcdefghij",
      tier = tier, resource = "r", account_id = "a", index_id = "i" } } })
    return wrapper:get_manager(name):explain(model)[1].limits
  end

  for line, expected in pairs {
    ["groq - openai/gpt-oss-120b"] = { requests_per_minute = 30, requests_per_day = 1000,
      tokens_per_minute = 8000, tokens_per_day = 200000 },
    ["groq free canopylabs/orpheus-v1-english"] = { requests_per_minute = 10,
      requests_per_day = 100, tokens_per_minute = 1200, tokens_per_day = 3600 },
    ["groq developer openai/gpt-oss-120b"] = { requests_per_minute = 1000,
      tokens_per_minute = 250000 },
    ["groq developer whisper-large-v3"] = {},
    ["groq - llama-3.3-70b-versatile"] = {}, -- withdrawn
    ["cerebras - gpt-oss-120b"] = { requests_per_minute = 5, tokens_per_minute = 30000,
      tokens_per_hour = 1000000, tokens_per_day = 1000000 },
    ["cerebras developer zai-glm-4.7"] = { requests_per_minute = 500,
      tokens_per_minute = 500000 },
    ["gemini - gemini-2.5-flash"] = { requests_per_minute = 5, requests_per_day = 20,
      tokens_per_minute = 250000 },
    ["gemini_openai - gemini-3.1-flash-lite-preview"] = { requests_per_minute = 15,
      requests_per_day = 500, tokens_per_minute = 250000 },
    ["gemini tier1 gemini-2.5-flash"] = {},
    ["openrouter - x/y:free"] = { requests_per_minute = 20, requests_per_day = 50 },
    ["openrouter credits x/y:free"] = { requests_per_minute = 20, requests_per_day = 1000 },
    ["openrouter - x/y"] = {},
    ["cohere - command-a-03-2025"] = { requests_per_minute = 20 },
    ["cohere pro rerank-v3.5"] = { requests_per_minute = 1000 },
    ["anthropic - claude-sonnet-4-5"] = {},
    ["anthropic start claude-sonnet-4-5"] = { requests_per_minute = 1000,
      input_tokens_per_minute = 2000000, output_tokens_per_minute = 400000 },
    ["anthropic scale claude-3-5-haiku-20241022"] = { requests_per_minute = 4000,
      input_tokens_per_minute = 400000, output_tokens_per_minute = 80000 },
    ["openai - gpt-5-mini"] = {},
    ["openai tier5 gpt-5-mini"] = { requests_per_minute = 10000, tokens_per_minute = 5000000 },
    ["sambanova free gpt-oss-120b"] = { requests_per_minute = 20, requests_per_day = 20,
      tokens_per_day = 200000 },
    ["sambanova developer Meta-Llama-3.3-70B-Instruct"] = { requests_per_minute = 240,
      requests_per_day = 48000, tokens_per_day = 20000000 },
    ["deepseek - deepseek-v4-pro"] = { concurrent_requests = 500 },
    ["nvidia - any"] = { requests_per_minute = 40 },
    ["xai - grok-4"] = {}, ["together - any"] = {}, ["azure_openai - gpt-4o"] = {},
  } do
    it(line .. " has the limits that are published", function()
      local name, tier, model = line:match "^(%S+) (%S+) (%S+)$"
      local found = held(name, tier ~= "-" and tier or nil, model)
      assert.same(expected, found)
    end)
  end
end)

describe("a day's requests of", function()
  -- 2026-03-08, an hour before midnight at Greenwich, and the seconds until the next.
  for name, seconds in pairs { ["gemini gemini-2.5-flash"] = 8 * 3600, ["openrouter a:free"] = 3600,
    ["groq groq/compound"] = 86400 } do
    it(name .. " begin anew where the provider's day does", function()
      local provider, model = name:match "^(%S+) (%S+)$"
      local clock = keycycle.clock.manual(1773010800)
      local wrapper <close> = keycycle.MultiClientWrapper.new { clock = clock }
      wrapper:register_provider(provider, { keys = { "sk-test-0123456789abcdefghij" } })
      local manager = wrapper:get_manager(provider)
      local why
      repeat
        local lease
        lease, why = manager:get_key(model)
        if lease then
          lease:commit(1)
        elseif why.limit ~= "requests_per_day" then
          clock:advance(why.retry_after)
        end
      until why and why.limit == "requests_per_day"
      assert.near(seconds - (clock:now() - 1773010800), why.retry_after, 3)
      clock:advance(why.retry_after)
      assert.truthy(manager:get_key(model))
    end)
  end
end)

describe("a table of limits", function()
  it("names the place of what is wrong in it", function()
    for word, given in pairs {
      ["f must be a table"] = 5, ["f.tiers must be a table"] = { tiers = 5 },
      ["f.source must be a string"] = { source = 1 },
      ["f.m.requests_per_day"] = { m = { requests_per_day = "x" } },
      ["f.tiers.pro.m.rpm"] = { tiers = { pro = { m = { requests_per_day = 1, rpm = 1 } } } },
      ["f.tiers has no field 1"] = { tiers = { {} } },
      ["f has no field \"m\""] = { m = 5 },
    } do
      local err = raises(Invalid, nil, limit_table.read, given, "f")
      local field = word:match "^(f%.tiers%.pro%.m)%.rpm$"
      assert.truthy(err.message:find(field or word, 1, true), err.message)
    end
  end)

  it("may be one RateLimits for all models", function()
    local read = limit_table.read({ requests_per_day = 5, tiers = { pro = {} } }, "f")
    assert.equal(5, limit_table.answer(read.base, "m").requests_per_day)
    assert.same({}, limit_table.answer(read.tiers.pro, "m"))
  end)

  it("of a provider's definition stands instead of the built-in one", function()
    local limits = { m = { requests_per_day = 5 }, tiers = { big = { requests_per_day = 6 } },
      source = "x", date = "2026-01-01" }
    local own = keycycle.provider { name = "groq", extends = "groq", limits = limits }
    assert.equal(5, limit_table.answer(limit_table.of("groq", own).base, "m").requests_per_day)
    assert.truthy(limit_table.of("groq", own).tiers.big)
    raises(Invalid, "provider x.limits.m", keycycle.provider,
      { name = "x", limits = { m = { rpm = 1 } } })
  end)

  it("of a user's file stands instead of both, until it is taken away", function()
    local own = limit_table.read({ m = { requests_per_day = 7 } }, "/x/groq.lua")
    scripts.replace { provider = {}, policy = {}, limits = { groq = own } }
    assert.equal(7, limit_table.answer(limit_table.of("groq").base, "m").requests_per_day)
    raises(Invalid, "/x/groq.lua.m", limit_table.read, { m = { rpm = 1 } }, "/x/groq.lua")
    scripts.replace { provider = {}, policy = {}, limits = {} }
    assert.is_nil((limit_table.answer(limit_table.of("groq").base, "m")))
    assert.same({ tiers = {} }, limit_table.of "nobody")
  end)
end)
