local files = require "tests.support.files"
local keycycle = require "keycycle"
local limit_table = require "keycycle.limit.table"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local A, B, C = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
  "sk-test-5555555555555555555k"
local URL = "http://127.0.0.1:1/v1"

describe("a tier", function()
  local wrapper, clock
  before_each(function()
    clock = keycycle.clock.manual(1e9)
    wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  end)
  after_each(function() wrapper:stop() end)

  local function register(more, name)
    local config = { keys = { A, B }, default_model = "command-r" }
    for k, v in pairs(more or {}) do config[k] = v end
    wrapper:register_provider(name or "cohere", config)
    return wrapper:get_manager(name or "cohere")
  end

  -- Requests a minute of each key, for a model.
  local function rpm(manager, model)
    local out = {}
    for i, key in ipairs(manager:explain(model)) do
      out[i] = key.limits.requests_per_minute or "unlimited"
    end
    return out
  end

  it("gives a key its limits, and none the free plan's", function()
    local manager = register { keys = { A, { api_key = B, tier = "pro" },
      { api_key = C, tier = "enterprise" } } }
    assert.same({ 20, 500, 1000 }, rpm(manager))
    assert.same({ 2000, 2000, 2000 }, rpm(manager, "embed-v4.0"))
    assert.same({ 10, 1000, 1000 }, rpm(manager, "rerank-v3.5"))
    local keys = manager:keys()
    assert.same({ "pro", "enterprise" }, { keys[2].tier, keys[3].tier })
    assert.is_nil(keys[1].tier)
    assert.same({ 20, 20 }, rpm(register { keys = { A, { api_key = B, tier = "free" } } }))
  end)

  it("changes what a key may do", function()
    local manager = register { keys = { A, { api_key = B, tier = "pro" } } }
    local function served(id)
      for n = 0, 600 do
        local lease, why = manager:get_specific_key(id)
        if not lease then return n, why.limit end
        lease:commit(1)
      end
    end
    assert.same({ 20, "requests_per_minute" }, { served(1) })
    assert.same({ 500, "requests_per_minute" }, { served(2) })
  end)

  it("may be named by key, which beats the key's own word", function()
    assert.same({ 500, 20 }, rpm(register { keys = { A, { api_key = B, tier = "pro" } },
      key_tiers = { [1] = "pro", ["fedcba"] = "free" } }))
    raises(keycycle.KeyNotFoundError, nil, register, { key_tiers = { [5] = "pro" } })
  end)

  it("may have other limits, or be another, by the program's word", function()
    local manager = register { key_tiers = { "pro", "mine" }, tier_limits = {
      pro = { ["command-*"] = { requests_per_minute = 7 } },
      mine = function(model) return model == "m" and { requests_per_minute = 9 } or nil end } }
    assert.same({ 7, 20 }, rpm(manager))
    assert.same({ 20, 9 }, rpm(manager, "m"))
    assert.same({ 10, 10 }, rpm(manager, "rerank-v3.5"))
  end)

  it("stands below the program's limits and above the provider's", function()
    local manager = register { key_tiers = { "pro", "pro" },
      limits = { ["command-r"] = { requests_per_minute = 3 },
        ["a*"] = { requests_per_minute = 2 } },
      key_limits = { [2] = { m = { requests_per_minute = 1 }, a1 = { requests_per_minute = 4 } } } }
    assert.same({ 3, 3 }, rpm(manager))
    assert.same({ 500, 1 }, rpm(manager, "m"))
    assert.same({ 2, 4 }, rpm(manager, "a1"))
    assert.same({ 2, 2 }, rpm(manager, "a2"))
    assert.same({ 500, 500 }, rpm(manager, "other"))
  end)

  it("asks functions at each level, and goes on where one says nothing", function()
    local asked = {}
    local manager = register {
      key_tiers = { [2] = "pro" },
      limits = function(model, key)
        asked[#asked + 1] = model .. key
        return model == "m" and { requests_per_minute = 5 } or nil
      end,
      key_limits = { [1] = function(model)
        return model == "k" and { requests_per_minute = 4 } or nil
      end },
    }
    assert.same({ 5, 5 }, rpm(manager, "m"))
    assert.same({ 4, 500 }, rpm(manager, "k"))
    assert.same({ 10, 1000 }, rpm(manager, "rerank-v3.5"))
    assert.same({ "m1", "m2", "k2", "rerank-v3.51", "rerank-v3.52" }, asked)
  end)

  it("is of no account where the program says that nothing is limited", function()
    assert.same({ "unlimited", "unlimited" }, rpm(register { limits = {}, key_tiers = { "pro" } }))
    local groq = register({ limits = {} }, "groq")
    assert.same({ "unlimited", "unlimited" }, rpm(groq, "openai/gpt-oss-120b"))
  end)

  it("comes with a key that is added, and is told again when keys are swapped", function()
    local manager = register()
    assert.equal(3, manager:add_key { api_key = C, tier = "pro" })
    assert.same({ 20, 20, 500 }, rpm(manager))
    assert.same({ 10, 10, 1000 }, rpm(manager, "rerank-v3.5"))
    raises(Invalid, "keys[1].tier", manager.add_key, manager, { api_key = "sk-test-77777777777",
      tier = "gold" })
    assert.equal(3, #manager:keys())
    register { keys = { { api_key = A, tier = "pro" }, C } }
    assert.same({ 500, 20 }, rpm(manager))
  end)

  it("that is not known raises, naming the place and those that are", function()
    local function faulty(word, more, name)
      local err = raises(Invalid, word, register, more, name)
      assert.is_nil(err.message:find("sk-", 1, true))
      return err.message
    end
    local text = faulty("keys[2].tier", { keys = { A, { api_key = B, tier = "gold" } } })
    assert.truthy(text:find('"gold"', 1, true) and text:find("enterprise, free, pro", 1, true))
    faulty("key_tiers", { key_tiers = { [A] = "gold" } })
    faulty("by key, not a number", { key_tiers = { 5 } })
    faulty("known: none", { key_tiers = { "pro" }, base_url = URL }, "elsewhere")
    faulty("tier_limits.x.m", { tier_limits = { x = { m = { requests_per_day = -1 } } } })
    faulty("tier_limits has no field 1", { tier_limits = { {} } })
    assert.is_false(pcall(wrapper.get_manager, wrapper, "cohere"))
    register()
    faulty("gold", { keys = { C }, key_tiers = { "gold" } })
    assert.equal(2, #wrapper:get_manager "cohere":keys()) -- as it was
  end)

  describe("of the environment", function()
    local function from(text, more)
      return files.with(text, function(path)
        return keycycle.MultiClientWrapper.from_env({ cohere = more or {} }, { env_file = path })
      end)
    end
    local keys = ("NUM_COHERE=2\nCOHERE_API_KEY_1=%s\nCOHERE_API_KEY_2=%s\n"):format(A, B)

    it("holds for all keys, or for one", function()
      for text, expected in pairs {
        [""] = { 20, 20 }, ["COHERE_TIER=pro"] = { 500, 500 }, ["COHERE_TIER= Free"] = { 20, 20 },
        ["COHERE_TIER_2=enterprise"] = { 20, 1000 },
        ["COHERE_TIER=pro\nCOHERE_TIER_1=free"] = { 20, 500 },
        ["COHERE_TIER=\n"] = { 20, 20 },
      } do
        local made <close> = from(keys .. text)
        assert.same(expected, rpm(made:get_manager "cohere", "command-r"), text)
      end
      local lone <close> = from("COHERE_API_KEY=" .. A .. "\nCOHERE_TIER_1=pro")
      assert.same({ 500 }, rpm(lone:get_manager "cohere"))
      assert.equal("pro", lone:get_manager "cohere":keys()[1].tier)
    end)

    it("yields to the program's word", function()
      local made <close> = from(keys .. "COHERE_TIER=pro",
        { key_tiers = { "free" }, tier_limits = { pro = { requests_per_minute = 6 } } })
      assert.same({ 20, 6 }, rpm(made:get_manager "cohere"))
      local limited <close> = from(keys .. "COHERE_TIER=pro",
        { limits = { requests_per_minute = 2 } })
      assert.same({ 2, 2 }, rpm(limited:get_manager "cohere"))
    end)

    it("holds for keys that the program gives", function()
      files.with("COHERE_TIER=pro", function(path)
        local made <close> = keycycle.MultiClientWrapper.new { env_file = path }
        made:register_provider("cohere", { keys = { A, { api_key = B, tier = "free" } } })
        assert.same({ 500, 20 }, rpm(made:get_manager "cohere"))
      end)
    end)

    it("that is not known raises, naming the variable", function()
      raises(Invalid, "COHERE_TIER names", from, keys .. "COHERE_TIER=gold")
      raises(Invalid, "COHERE_TIER_2 names", from, keys .. "COHERE_TIER_2=gold")
    end)
  end)

  it("is shared with the pool, and must be the same", function()
    local made = {}
    local function join(more)
      local config = { keys = { A, { api_key = B, tier = "pro" } }, default_model = "command-r" }
      for k, v in pairs(more or {}) do config[k] = v end
      made[#made + 1] = keycycle.MultiClientWrapper.new { shared = "tiers" }
      return made[#made]:register_provider("cohere", config)
    end
    local one = join()
    assert.same({ 20, 500 }, rpm(one:get_manager "cohere"))
    assert.same({ 10, 1000 }, rpm(one:get_manager "cohere", "rerank-v3.5"))
    assert.same({ 10, 1000 }, rpm(join():get_manager "cohere", "rerank-v3.5"))
    raises(Invalid, "other keys or limits", join, { keys = { A, B } })
    raises(Invalid, "other keys or limits", join, { key_tiers = { "pro" } })
    one:register_provider("cohere", { keys = { A, { api_key = B, tier = "pro" } } })
    assert.same({ 2000, 2000 }, rpm(one:get_manager "cohere", "embed-x"))
    for _, wrapped in ipairs(made) do wrapped:stop() end
    made = {}
    -- With names of the provider's own that nobody has used yet.
    local function ask(model) return model == "m" and { requests_per_minute = 5 } or nil end
    one = join { limits = ask, key_tiers = {} }
    assert.same({ 5, 5 }, rpm(one:get_manager "cohere", "m"))
    assert.same({ 2000, 2000 }, rpm(one:get_manager "cohere", "embed-x"))
    assert.same({ 5, 5 }, rpm(join { limits = ask, key_tiers = {} }:get_manager "cohere", "m"))
    made[1]:register_provider("cohere", { keys = { A, { api_key = B, tier = "pro" } },
      limits = ask })
    for _, wrapped in ipairs(made) do wrapped:stop() end
    -- And with a function beside a table of names.
    local groq = { keys = { A, B }, limits = function() return { requests_per_minute = 5 } end }
    for i = 1, 2 do
      made[i] = keycycle.MultiClientWrapper.new { shared = "tiers" }
      made[i]:register_provider("groq", groq)
      assert.same({ 5, 5 }, rpm(made[i]:get_manager "groq", "groq/compound-mini"))
    end
    for _, wrapped in ipairs(made) do wrapped:stop() end
  end)

  it("of OpenRouter counts what is free together, and nothing else", function()
    local manager = register({ keys = { A, { api_key = B, tier = "credits" } } }, "openrouter")
    local function served(id, model)
      for n = 0, 30 do
        local lease = manager:get_specific_key(id, model)
        if not lease then return n end
        lease:commit(1)
      end
      return "more"
    end
    manager:get_specific_key(1, "x/a:free"):commit(1)
    assert.equal(19, served(1, "x/b:free"))
    assert.equal("more", served(1, "x/b"))
    assert.equal(20, served(2, "x/a:free"))
    local told = manager:explain "x/a:free"
    assert.same({ 50, 1000 }, { told[1].limits.requests_per_day, told[2].limits.requests_per_day })
    assert.is_nil(manager:explain "x/b"[1].limits.requests_per_day)
    -- A refusal of what is free says nothing of what is paid for.
    clock:advance(61)
    local lease = manager:get_specific_key(2, "x/c:free")
    lease:cooldown(60)
    lease:refuse()
    assert.is_nil((manager:get_specific_key(2, "x/c:free")))
    assert.truthy(manager:get_specific_key(2, "x/b"))
    -- What the program says holds for all of them.
    manager = register({ limits = { requests_per_minute = 3 } }, "openrouter")
    assert.same({ 3, 3 }, rpm(manager, "x/b"))
  end)

  it("is asked of functions once where limits are all models' together", function()
    local manager = register({ strategy = "global", base_url = URL, limits = function(model, key)
      return model == "default" and { requests_per_minute = key } or nil
    end }, "p")
    assert.same({ 1, 2 }, rpm(manager, "m"))
    manager:get_specific_key(1, "m"):commit(1)
    assert.is_nil((manager:get_specific_key(1, "n")))
  end)
end)

describe("names of models in limits", function()
  local function answer(by_model, model, only)
    local found, late = limit_table.answer(limit_table.level(by_model, "limits", only), model)
    return found and found.requests_per_day, late
  end
  local names = { ["llama-*"] = { requests_per_day = 1 }, ["llama-3*"] = { requests_per_day = 2 },
    ["llama-3.1"] = { requests_per_day = 3 }, default = { requests_per_day = 4 } }

  it("are taken exactly, then by the longest beginning, then by default", function()
    assert.same({ 3, 2, 1, 4, 4 }, { (answer(names, "llama-3.1")), (answer(names, "llama-3.2")),
      (answer(names, "llama-2")), (answer(names, "llama")), (answer(names, "")) })
    assert.is_nil((answer({ m = {} }, "x")))
  end)

  it("may be of some models only", function()
    assert.same({ 2 }, { (answer(names, "llama-3:free", "*:free")) })
    assert.is_nil((answer(names, "llama-3", "*:free")))
    assert.is_nil((answer(names, "free", "*:free")))
  end)

  it("hold so in a pool", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", { base_url = URL, keys = { A, B }, limits = names,
      key_limits = { [2] = { ["llama-3.*"] = { requests_per_day = 9 } } } })
    local function of(key, model)
      return wrapper:get_manager "p":explain(model)[key].limits.requests_per_day
    end
    assert.same({ 3, 9 }, { of(1, "llama-3.1"), of(2, "llama-3.1") })
    assert.same({ 2, 9 }, { of(1, "llama-3.9"), of(2, "llama-3.9") })
    assert.same({ 1, 1, 4, 4 }, { of(1, "llama-2"), of(2, "llama-2"), of(1, "x"), of(2, "x") })
  end)

  it("have a star at their end or none", function()
    raises(Invalid, '"a*b"', limit_table.level, { ["a*b"] = {} }, "limits")
    raises(Invalid, '"*b" may have a * at its end only', limit_table.level, { ["*b"] = {} },
      "limits")
    raises(Invalid, "f.only", limit_table.read, { only = "a*b" }, "f")
  end)
end)
