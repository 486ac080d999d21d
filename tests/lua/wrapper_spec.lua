local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local A, B = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"
local URL = "http://127.0.0.1:1/v1"

local function config(keys, more)
  local all = { base_url = URL, keys = keys or { A }, default_model = "m" }
  for k, v in pairs(more or {}) do all[k] = v end
  return all
end

describe("MultiClientWrapper.new", function()
  it("refuses what it does not know or serve", function()
    for word, opts in pairs {
      ["\"db\""] = { db = "x" }, ["shared must be"] = { shared = "" },
      ["transport must be a table"] = { transport = "x" }, ["clock must be"] = { clock = 5 },
      ["env_file must be"] = { env_file = 5 },
    } do
      raises(Invalid, word, keycycle.MultiClientWrapper.new, opts)
    end
    raises(Invalid, "options are a table", keycycle.MultiClientWrapper.new, 5)
  end)

  it("says what is wrong with the database's file", function()
    raises(keycycle.StoreError, nil, keycycle.MultiClientWrapper.new,
      { db_url = "sqlite:/nowhere/at/all/x.db" })
    local folder <const>, remove = files.folder()
    raises(keycycle.StoreError, nil, keycycle.MultiClientWrapper.new,
      { db_url = "sqlite:" .. folder })
    remove()
    files.with(("not a database at all. "):rep(100), function(path)
      local err = raises(keycycle.StoreError, path, keycycle.MultiClientWrapper.new,
        { db_url = "sqlite:" .. path })
      assert.equal("corrupt", err.code)
      local f <close> = io.open(path)
      assert.truthy(f:read "a":find "^not a database", "the file was touched")
    end)
  end)

  it("touches no file without a URL", function()
    local opened = {}
    local open = io.open
    io.open = function(path, mode) -- luacheck: ignore 122
      opened[#opened + 1] = mode ~= "r" and path or nil
      return open(path, mode)
    end
    local ok = pcall(function()
      local wrapper <close> = keycycle.MultiClientWrapper.new {}
      wrapper:register_provider("p", config())
    end)
    io.open = open -- luacheck: ignore 122
    assert.is_true(ok)
    assert.same({}, opened)
  end)
end)

describe("from_env", function()
  local function from(text, providers, opts)
    return files.with(text, function(path)
      opts = opts or {}
      opts.env_file = path
      return keycycle.MultiClientWrapper.from_env(providers, opts)
    end)
  end

  it("registers each provider with its keys", function()
    local wrapper <close> = from("KCA_API_KEY_1=" .. A .. "\nKCB_API_KEY=" .. B, {
      kca = { base_url = URL }, kcb = { base_url = URL, default_model = "m" } })
    assert.equal("MultiClientWrapper (2 providers)", tostring(wrapper))
    assert.equal("efghij", wrapper:get_manager("kca"):keys()[1].suffix)
    assert.equal("fedcba", wrapper:get_manager("kcb"):keys()[1].suffix)
  end)

  it("is all or nothing, and leaves no file", function()
    local folder, remove = files.folder()
    local path = folder .. "/x.db"
    raises(keycycle.MissingEnvironmentVariableError, "KCB", from, "KCA_API_KEY_1=" .. A,
      { kca = { base_url = URL }, kcb = { base_url = URL } }, { db_url = "sqlite:" .. path })
    assert.is_nil(io.open(path))
    remove()
  end)

  it("names the providers it knows", function()
    local err = raises(Invalid, "openai, openrouter", from, "", { nobody = {} })
    assert.equal("unknown_provider", err.code)
  end)

  it("takes no keys from the table", function()
    raises(Invalid, "from the environment", from, "", { kca = { base_url = URL, keys = { A } } })
    raises(Invalid, nil, from, "", { "openai" })
    raises(Invalid, nil, keycycle.MultiClientWrapper.from_env, "openai")
  end)
end)

describe("register_provider", function()
  local wrapper
  before_each(function() wrapper = keycycle.MultiClientWrapper.new {} end)
  after_each(function() wrapper:stop() end)

  it("can be chained", function()
    assert.equal(wrapper, wrapper:register_provider("p", config()):register_provider("q", config()))
  end)

  it("a second time swaps keys and limits and keeps the counts", function()
    wrapper:register_provider("p", config({ A, B }, { limits = { requests_per_minute = 5 } }))
    local manager = wrapper:get_manager "p"
    local client = wrapper:get_rotating_client "p"
    manager:get_specific_key(1, "m"):commit(10)
    wrapper:register_provider("p", config({ A }, { limits = { requests_per_minute = 1 } }))
    assert.equal(1, #manager:keys())
    assert.equal(10, manager:get_key_stats(1).total.total_tokens)
    local lease, why = manager:get_key "m"
    assert.is_nil(lease)
    assert.equal("requests_per_minute", why.limit)
    assert.equal("limited", raises(keycycle.NoAvailableKeyError, nil,
      client.chat.completions.create, { messages = {} }, { wait = false }).code)
    wrapper:register_provider("p", config { B })
    assert.equal(2, manager:keys()[1].index)
  end)

  -- Tasks that wait while all keys are at their limit of one a minute.
  local function wait_in_line(limits)
    wrapper:register_provider("p", config({ A }, { limits = limits }))
    local manager = wrapper:get_manager "p"
    manager:get_key "m":commit(1)
    local leases = {} -- one that nobody holds would be given back
    for _ = 1, 3 do
      keycycle.spawn(function()
        leases[#leases + 1] = manager:get_key("m", { wait = true, timeout = 3600 })
      end)
    end
    keycycle.step(0)
    return function()
      keycycle.step(0)
      return #leases
    end
  end

  for _, limits in ipairs {
    { requests_per_minute = 1 },
    { m = { requests_per_minute = 1 }, default = { requests_per_minute = 9 } },
    function() return { requests_per_minute = 1 } end,
  } do
    it("a second time, or with one key more, serves who waits within the limits ("
      .. type(limits) .. ")", function()
      local served = wait_in_line(limits)
      wrapper:register_provider("p", config({ A }, { limits = limits }))
      assert.equal(0, served())
      wrapper:get_manager "p":add_key(B)
      assert.equal(1, served())
      wrapper:register_provider("p", config({ A, B, "sk-test-5555555555555555555k" },
        { limits = limits, key_limits = { [3] = { requests_per_minute = 0 } } }))
      assert.equal(1, served())
    end)
  end

  it("serves by a new key when the limits of all models hold that are waited for", function()
    local models, leases = { "k", "l", "m", "n" }, {}
    wrapper:register_provider("p", config({ A },
      { limits = function() return { requests_per_minute = 1 } end }))
    local manager = wrapper:get_manager "p"
    for _, model in ipairs(models) do
      leases[model] = { manager:get_key(model) }
      for _ = 1, 3 do
        keycycle.spawn(function()
          table.insert(leases[model], (manager:get_key(model, { wait = true, timeout = 3600 })))
        end)
      end
    end
    keycycle.step(0)
    manager:add_key(B)
    keycycle.step(0)
    for _, model in ipairs(models) do assert.equal(2, #leases[model], model) end
  end)

  it("leaves what was registered in place when the new configuration is wrong", function()
    wrapper:register_provider("p", config { A })
    raises(Invalid, "keys[1]", wrapper.register_provider, wrapper, "p", config { "sk-..." })
    raises(Invalid, "limits", wrapper.register_provider, wrapper, "p",
      config({ B }, { limits = { rpm = 1 } }))
    assert.equal("efghij", wrapper:get_manager("p"):keys()[1].suffix)
    assert.equal(1, #wrapper:get_manager("p"):keys())
  end)

  it("checks its name and configuration", function()
    raises(Invalid, "name", wrapper.register_provider, wrapper, "", config())
    raises(Invalid, "table", wrapper.register_provider, wrapper, "p", 5)
    raises(Invalid, "plain http", wrapper.register_provider, wrapper, "p",
      { base_url = "http://192.0.2.1/v1", keys = { A } })
    raises(Invalid, "policy", wrapper.register_provider, wrapper, "p",
      config(nil, { policy = "nobody" }))
  end)
end)

describe("a wrapper", function()
  it("says so when a method is called with a dot", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    for _, name in ipairs { "get_manager", "get_model", "get_rotating_client", "register_provider",
      "save", "stop" } do
      raises(keycycle.KeycycleError, "with a colon, as wrapper:", wrapper[name], "p", {})
      raises(keycycle.KeycycleError, "with a colon, as wrapper:", wrapper[name])
    end
  end)

  it("names what is registered when asked for another", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    local err = raises(Invalid, "none", wrapper.get_manager, wrapper, "x")
    assert.equal("unknown_provider", err.code)
    wrapper:register_provider("q", config()):register_provider("p", config())
    raises(Invalid, "p, q", wrapper.get_rotating_client, wrapper, "x")
  end)

  it("takes a face, options, or both for a client", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", config())
    assert.truthy(wrapper:get_rotating_client("p", keycycle.OpenAI))
    assert.truthy(wrapper:get_rotating_client("p", { timeout = 1 }))
    assert.truthy(wrapper:get_rotating_client("p", keycycle.OpenAI, { timeout = 1 }))
    assert.truthy(wrapper:get_rotating_client("p", nil, { timeout = 1 }))
    assert.truthy(wrapper:get_rotating_client("p", print))
    assert.truthy(wrapper:get_rotating_client("p", { new = print }, { timeout = 1 }))
    raises(Invalid, "a client's class", wrapper.get_rotating_client, wrapper, "p", "OpenAI")
  end)

  it("says when there is nobody to connect to", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", config())
    assert.equal("connect", raises(keycycle.TransportError, "provider p", wrapper.preconnect,
      wrapper, "p").code)
    raises(Invalid, "not registered", wrapper.preconnect, wrapper, "q")
  end)

  it("stops once, and refuses from then on", function()
    local wrapper = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", config())
    local manager = wrapper:get_manager "p"
    local lease = manager:get_key "m"
    wrapper:stop()
    wrapper:stop()
    for _, fn in ipairs {
      function() wrapper:get_manager "p" end, function() manager:get_key "m" end,
      function() wrapper:register_provider("q", config()) end,
      function() manager:get_global_stats() end,
    } do
      assert.equal("closed", raises(keycycle.KeycycleError, nil, fn).code)
    end
    lease:commit(5) -- what was out may still be settled
    assert.equal("MultiClientWrapper (1 providers, stopped)", tostring(wrapper))
  end)

  it("remembers what a first run used", function()
    local path = os.tmpname()
    os.remove(path)
    local function open()
      return keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. path }
        :register_provider("p", config({ A, B }, { limits = { requests_per_hour = 3 } }))
    end
    local first = open()
    local manager = first:get_manager "p"
    manager:get_specific_key(1, "m"):commit { input_tokens = 5, output_tokens = 2 }
    manager:get_specific_key(1, "n"):commit(4)
    manager:get_specific_key(2, "m"):cancel()
    manager:get_specific_key(2, "m"):cancel { sent = true }
    local before = manager:get_global_stats()
    first:stop()
    local second <close> = open()
    local after = second:get_manager("p"):get_global_stats()
    assert.same(before.total.total_requests, after.total.total_requests)
    for i = 1, 2 do
      for _, name in ipairs { "total_requests", "total_tokens", "rph", "rpd", "tph", "tpd" } do
        assert.equal(before.keys[i].snapshot[name], after.keys[i].snapshot[name], name .. i)
      end
    end
    assert.equal(7, second:get_manager("p"):get_granular_stats(1, "m").snapshot.total_tokens)
    for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
  end)
end)
