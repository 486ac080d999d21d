local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local A, B, C = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
  "sk-test-5555555555555555555k"

describe("a shared pool", function()
  local open = {} -- wrappers
  local function wrap(name, opts)
    opts = opts or {}
    opts.shared = name
    open[#open + 1] = keycycle.MultiClientWrapper.new(opts)
    return open[#open]
  end
  local function config(more)
    local all = { base_url = "http://127.0.0.1:1/v1", keys = { A, B }, default_model = "m" }
    for k, v in pairs(more or {}) do all[k] = v end
    return all
  end
  local function join(more, name, opts)
    return wrap(name or "x", opts):register_provider("p", config(more))
  end
  local function total(wrapper) return wrapper:get_manager "p":get_global_stats().total end
  after_each(function()
    for _, wrapper in ipairs(open) do wrapper:stop() end
    open = {}
  end)

  it("is one for all who give the name", function()
    local one, two, other = join(), join(), join(nil, "y")
    local lease = one:get_manager "p":get_key()
    assert.equal(1, total(two).in_flight)
    lease:commit(7)
    assert.same({ 1, 7 }, { total(two).rpm, total(two).tpm })
    assert.equal(0, total(other).rpm)
    two:get_manager "p":disable(1)
    assert.equal("disabled", one:get_manager "p":keys()[1].state)
    two:register_provider("q", config()) -- a provider is a pool of its own
    assert.equal(0, two:get_manager "q":get_global_stats().total.rpm)
  end)

  it("refuses who comes with other keys or limits, and says no key", function()
    local first = join { limits = { requests_per_minute = 3 } }
    for _, more in ipairs {
      { keys = { A } }, { keys = { B, A } }, { keys = { A, B, C } }, { selection = "fill_first" },
      { keys = { A, { api_key = B, priority = 1 } } }, { strategy = "global" },
      { max_wait_queue = 5 }, { limits = { requests_per_minute = 4 } },
      { limits = { m = { requests_per_minute = 3 } } },
      { key_limits = { [2] = { tokens_per_day = 1 } } },
      { limits = { requests_per_minute = 3, day_resets_at = "UTC" } },
    } do
      more.limits = more.limits or { requests_per_minute = 3 }
      local err = raises(Invalid, "other keys or limits", join, more)
      assert.same({ "differs", "p" }, { err.code, err.provider })
      assert.truthy(err.message:find('"x"', 1, true))
      assert.is_nil(tostring(err):find("sk-", 1, true))
    end
    assert.equal(3, first:get_manager "p":explain()[1].limits.requests_per_minute)
    join { limits = { requests_per_minute = 3 } }
  end)

  it("compares parameters without their order, and not what was used", function()
    local keys = { { api_key = A, label = "l", models = { "m" }, weight = 2, a = "1", b = "2",
      c = "3", d = "4" }, B }
    local one = join { keys = keys, extra_params = { "a", "b", "c", "d" },
      key_limits = { [2] = { m = { requests_per_day = 9 } } } }
    one:get_manager "p":get_key():fail { status = 429, headers = {} }
    one:get_manager "p":disable(2)
    join { keys = keys, extra_params = { "d", "c", "b", "a" },
      key_limits = { [2] = { m = { requests_per_day = 9 } } } }
  end)

  it("has a name, runs on the machine's clock, and chooses by itself", function()
    raises(Invalid, "shared must be a name", keycycle.MultiClientWrapper.new, { shared = "" })
    raises(Invalid, "shared must be a string", keycycle.MultiClientWrapper.new, { shared = true })
    raises(Invalid, "machine's clock", keycycle.MultiClientWrapper.new,
      { shared = "x", clock = keycycle.clock.manual(1) })
    local choose = { selection = function() return 1 end }
    raises(Invalid, "cannot choose from the shared pool \"x\"", join, choose)
    local one = join()
    raises(Invalid, "cannot choose", one.register_provider, one, "p", config(choose))
  end)

  it("counts anew when the last one has gone", function()
    local one, two = join(), join()
    local lease = one:get_manager "p":get_key()
    one:get_manager "p":get_key():commit(1)
    one:stop()
    assert.equal(2, total(two).rpm)
    two:stop()
    local three = join()
    assert.equal(0, total(three).rpm)
    lease:commit(1) -- of the pool that is gone
    assert.equal(0, total(three).rpm)
    assert.equal("closed", select(2, pcall(total, one)).code)
  end)

  it("is let go by a registration that fails, and by from_env that fails", function()
    join():stop()
    local one = join { keys = { A } }
    raises(Invalid, nil, join, { keys = { B } })
    one:stop()
    join { keys = { C } }
    local path = files.write("KCA_API_KEY=" .. A .. "\nKCB_API_KEY=" .. B .. "\n")
    local url = "http://127.0.0.1:1/v1"
    local env = { env_file = path, shared = "env" }
    raises(Invalid, nil, keycycle.MultiClientWrapper.from_env,
      { kca = { base_url = url }, kcb = { base_url = url, limits = { x = 1 } } }, env)
    open[#open + 1] = keycycle.MultiClientWrapper.from_env(
      { kca = { base_url = url, limits = { requests_per_day = 1 } } }, env)
    os.remove(path)
  end)

  it("is changed by a manager for all, and whoever comes then gives what holds", function()
    local one, two = join(), join()
    one:get_manager "p":add_key(C)
    assert.equal(3, #two:get_manager "p":keys())
    raises(Invalid, "other keys", join)
    raises(Invalid, "other keys", two.register_provider, two, "p", config())
    join { keys = { A, B, C } }
    two:get_manager "p":remove_key(1)
    join { keys = { B, C } }
  end)

  describe("registered again", function()
    it("is nothing that a stopped manager may change", function()
      local one, two = join(), join()
      one:get_manager "p":stop()
      local err = raises(keycycle.KeycycleError, nil, one.register_provider, one, "p",
        config { keys = { C } })
      assert.equal("closed", err.code)
      assert.equal(2, #two:get_manager "p":keys())
    end)

    it("is changed by who is alone, and keeps its counters", function()
      local one, two = join(), join()
      two:stop()
      one:get_manager "p":get_specific_key(1):commit(5)
      one:register_provider("p", config { keys = { B, C }, limits = { requests_per_day = 2 } })
      assert.equal(1, total(one).rpm)
      assert.same({ 2, 3 }, { one:get_manager "p":keys()[1].index,
        one:get_manager "p":keys()[2].index })
      -- Who comes now gives what holds now; a key's limits go by its place.
      raises(Invalid, "other keys", join)
      two = join { keys = { B, C }, limits = { requests_per_day = 2 } }
      assert.equal(1, total(two).rpm)
    end)

    it("must be the same while others are there", function()
      local one = join { limits = { requests_per_day = 2 } }
      join { limits = { requests_per_day = 2 } }
      local err = raises(Invalid, "other keys or limits", one.register_provider, one, "p",
        config { limits = { requests_per_day = 3 } })
      assert.equal("differs", err.code)
      assert.equal(2, one:get_manager "p":explain()[1].limits.requests_per_day)
      one:register_provider("p", config { limits = { requests_per_day = 2 }, default_model = "n" })
      one:get_manager "p":get_key()
      assert.equal(1, one:get_manager "p":get_model_stats("n").total.rpm)
    end)

    it("stays as it was, and open to others, when that fails", function()
      local one = join()
      raises(Invalid, nil, one.register_provider, one, "p", config { limits = { x = 1 } })
      join()
    end)
  end)

  describe("with limit functions", function()
    local function by_function(n, asked)
      return { limits = function(model, key)
        if asked then asked[#asked + 1] = model .. key end
        return model ~= "free" and { requests_per_day = n } or nil
      end }
    end

    it("asks each of those who come, and takes what is the same", function()
      local asked = {}
      local one = join(by_function(1))
      local manager = one:get_manager "p"
      manager:get_key "m"
      manager:get_key "free"
      manager:next_available "never used"
      local two = join(by_function(1, asked))
      table.sort(asked)
      assert.same({ "m1", "m2", "never used1", "never used2" }, asked)
      assert.is_truthy(two:get_manager "p":get_key "m")
      assert.is_nil((two:get_manager "p":get_key "m"))
      assert.equal(1, manager:explain "m"[2].limits.requests_per_day)
      raises(Invalid, "other keys or limits", join, by_function(2))
      raises(Invalid, "other keys or limits", join)
    end)

    it("asks them of models with long names, too", function()
      local long = ("m"):rep(3000)
      join(by_function(1)):get_manager "p":get_key(long)
      join(by_function(1))
    end)

    it("asks them of keys that another adds", function()
      local one, two = join(by_function(1)):get_manager "p", join(by_function(1)):get_manager "p"
      for _ = 1, 2 do two:get_key "m":commit(1) end
      assert.equal(3, one:add_key(C))
      two:get_key "m":commit(1)
      assert.is_nil((two:get_key "m"))
      one:remove_key(3)
      for _ = 1, 2 do two:get_key "n":commit(1) end
      assert.equal(3, one:add_key(C))
      two:get_key "n":commit(1)
      assert.is_nil((two:get_key "n"))
    end)

    it("is registered again with the same ones", function()
      local one = join(by_function(1))
      join(by_function(1)):get_manager "p":get_key "m"
      one:register_provider("p", config(by_function(1)))
      raises(Invalid, "other", one.register_provider, one, "p", config(by_function(2)))
    end)
  end)

  it("serves the tasks of all, in one queue", function()
    local one = join { limits = { concurrent_requests = 1 } }
    local two = join { limits = { concurrent_requests = 1 } }
    local first, second = one:get_manager "p", two:get_manager "p"
    local order = {}
    keycycle.run(function()
      local a, b = first:get_key(), first:get_key()
      for i, manager in ipairs { second, first, second } do
        keycycle.spawn(function()
          local lease = assert(manager:get_key("m", { wait = true }))
          order[#order + 1] = i
          lease:cancel()
        end)
      end
      keycycle.sleep(0)
      assert.equal(3, first:get_global_stats().queue.length)
      a:cancel()
      keycycle.sleep(0)
      b:commit(1)
    end)
    assert.same({ 1, 2, 3 }, order)
    assert.equal(0, total(one).in_flight)
  end)

  it("is not held up by a wrapper that was stopped", function()
    local one = join { limits = { concurrent_requests = 1 } }
    local two = join { limits = { concurrent_requests = 1 } }
    local manager = two:get_manager "p"
    local a, b = manager:get_key(), manager:get_key()
    local waits = keycycle.spawn(function()
      return one:get_manager "p":get_key("m", { wait = true })
    end)
    keycycle.step(0)
    assert.equal(1, manager:get_global_stats().queue.length)
    one:stop()
    a:cancel()
    assert.equal(0, manager:get_global_stats().queue.length)
    assert.is_truthy(manager:get_key())
    local lease, why = waits:await()
    assert.is_nil(lease)
    assert.equal("closed", why.code)
    b:cancel()
  end)

  it("tells events to all who listen", function()
    local one, two = join(), join()
    local seen = {}
    two:get_manager "p":on("acquire", function(event) seen[#seen + 1] = event.key_index end)
    one:get_manager "p":get_specific_key(2):commit(1)
    assert.equal(0, #seen)
    keycycle.step() -- woken by it
    assert.same({ 2 }, seen)
    two:stop()
    one:get_manager "p":get_specific_key(2):commit(1)
    keycycle.step(0)
    assert.same({ 2 }, seen)
  end)

  it("is kept by a store that one wrapper brings, whoever uses it and stops first", function()
    local folder, remove = files.folder()
    local url = "sqlite:" .. folder .. "/usage.db"
    local function one_run(expected)
      local one, two = join(nil, "x", { db_url = url }), join(nil, "x", { db_url = url })
      local three = join() -- brings none
      assert.equal(expected, total(two).total_requests)
      for _, wrapper in ipairs { one, two, three } do
        wrapper:get_manager "p":get_key():commit(10)
      end
      assert.equal(expected + 3, total(one).total_requests)
      one:stop()
      two:stop()
      three:stop()
    end
    one_run(0)
    one_run(3)
    -- The first one has no store: the one that brings it tells what that knows.
    local bare = join()
    bare:get_manager "p":get_key():commit(1)
    local late = join(nil, "x", { db_url = url })
    assert.equal(7, total(bare).total_requests)
    late:stop()
    bare:get_manager "p":get_key():commit(1)
    bare:stop()
    one_run(7)
    remove()
  end)
end)
