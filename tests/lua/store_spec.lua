--- Where usage is kept: the options that say so, what is remembered between two runs, and
--- how a store that fails is told of.
local blocks = require "tests.support.blocks"
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local A, B, C = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba",
  "sk-test-5555555555555555555k"
local URL = "http://127.0.0.1:1/v1"
local START = 1000000

local function new(opts)
  return keycycle.MultiClientWrapper.new(opts)
end

local function none() end

--- Every text in a value, at any depth.
local function texts(value, out, seen)
  out, seen = out or {}, seen or {}
  if type(value) == "string" then out[#out + 1] = value end
  if type(value) == "table" and not seen[value] then
    seen[value] = true
    for k, v in next, value do
      texts(k, out, seen)
      texts(v, out, seen)
    end
  end
  return table.concat(out, "\n")
end

describe("the options of a store", function()
  it("are a URL or a table of the program's own, not both", function()
    local own = { load = none, save = none }
    raises(Invalid, "give one", new, { db_url = "memory:", store = own })
    raises(Invalid, "db_url is empty", new, { db_url = "" })
    raises(Invalid, "store must be a table", new, { store = "sqlite:x" })
    raises(Invalid, "a function load, not a nil", new, { store = { save = none } })
    raises(Invalid, "a function save, not a table", new, { store = { load = none, save = {} } })
    for _, every in ipairs { 0, -1, 0 / 0, "x" } do
      raises(Invalid, "every must be seconds", new,
        { store = { load = none, save = none, every = every } })
    end
  end)

  it("keep whole days, at least one", function()
    for _, days in ipairs { 0, -1, 1.5, 1e9, 0 / 0, math.huge } do
      local err = raises(Invalid, "keep_days must be whole days", new,
        { keep_days = days, db_url = "memory:" })
      assert.equal("invalid", err.code)
    end
    raises(Invalid, "keep_days must be a number", new, { keep_days = "7" })
    for _, days in ipairs { 1, 30.0, 36500 } do
      local wrapper <close> = new { keep_days = days, db_url = "memory:" }
      assert.is_nil(wrapper.keep_days)
    end
    new({ keep_days = 7 }):stop() -- and nothing to keep
  end)

  it("are those of a wrapper of one provider, too", function()
    local function one(opts)
      opts.provider, opts.keys, opts.base_url = "p", { A }, URL
      return keycycle.MultiProviderWrapper.new(opts)
    end
    raises(Invalid, "keep_days", one, { keep_days = 0 })
    raises(Invalid, "give one", one, { db_url = "memory:", store = { load = none, save = none } })
    local saved
    local wrapper = one { keep_days = 5, store = { load = none,
      save = function(data) saved = data end } }
    wrapper:get_key_usage({ model = "m" }):commit(3)
    wrapper:save()
    assert.equal(3, saved.sums[1].total)
    wrapper:stop()
  end)
end)

describe("a URL that names no store that is here", function()
  local HIDDEN = "s3cr3t-word"

  it("is never ignored, and not repeated", function()
    for _, scheme in ipairs { "redis", "postgres", "mongodb+srv" } do
      local err = raises(keycycle.ConfigurationError, "db_url", new,
        { db_url = ("%s://user:%s@host/db"):format(scheme, HIDDEN) })
      assert.equal("no_such_store", err.code)
      assert.is_nil(texts(err):find(HIDDEN, 1, true))
    end
    assert.equal("no_such_store",
      raises(keycycle.ConfigurationError, nil, new, { db_url = HIDDEN }).code)
  end)

  it("is told with the variable that held it, without its value", function()
    for text, opts in pairs {
      [("TIDB_DB_URL=redis://u:%s@h/db"):format(HIDDEN)] = { "TIDB_DB_URL" },
      [("MY_URL=%s"):format(HIDDEN)] = { "MY_URL", "MY_URL" },
    } do
      files.with(text, function(path)
        local err = raises(keycycle.ConfigurationError, "the variable " .. opts[1], new,
          { env_file = path, db_env_var = opts[2] })
        assert.equal("no_such_store", err.code)
        assert.is_nil((tostring(err) .. texts(err)):find(HIDDEN, 1, true))
      end)
    end
  end)

  it("in the environment does no harm where the program brings its own store", function()
    files.with("TIDB_DB_URL=redis://h", function(path)
      new({ env_file = path, store = { load = none, save = none } }):stop()
      new({ env_file = path, db_url = "memory:" }):stop()
    end)
  end)

  it("says what is wrong with one that is malformed", function()
    for _, tail in ipairs { "[::1/db", "h:notaport/db", "h:99999/db", "h/" } do
      local err = raises(keycycle.ConfigurationError, "db_url", new,
        { db_url = ("mysql://user:%s@%s"):format(HIDDEN, tail) })
      assert.truthy(err.code == "bad_url" or err.code == "no_such_store", err.code)
      assert.equal(err.code == "bad_url", keycycle.is(err, Invalid))
      assert.is_nil((tostring(err) .. texts(err)):find(HIDDEN, 1, true))
    end
  end)

  it("or a server that is not there, hides the password", function()
    for _, scheme in ipairs { "mysql", "mysql+pymysql", "mariadb" } do
      local url = ("%s://user:%s@127.0.0.1:1/db"):format(scheme, HIDDEN)
      files.with("TIDB_DB_URL=" .. url, function(path)
        for where, opts in pairs { ["option db_url"] = { db_url = url },
          ["the variable TIDB_DB_URL"] = { env_file = path } } do
          local ok, err = pcall(new, opts)
          assert.is_false(ok)
          local missing = keycycle.is(err, keycycle.ConfigurationError)
          assert.is_true(missing or keycycle.is(err, keycycle.StoreError), tostring(err))
          assert.equal(missing and "no_such_store" or "store", err.code)
          assert.truthy(err.message:find(where, 1, true), err.message)
          assert.is_nil((tostring(err) .. texts(err)):find(HIDDEN, 1, true))
        end
      end)
    end
  end)

  it("cannot be read out of a wrapper", function()
    local folder, remove = files.folder()
    local wrapper <close> = new { db_url = "sqlite:" .. folder .. "/" .. HIDDEN }
    assert.is_nil((tostring(wrapper) .. texts(wrapper)):find(HIDDEN, 1, true))
    remove()
  end)
end)

--- A store of the program's own that keeps what it is given as JSON.
local function json_store(every)
  local own = { every = every, saves = 0 }
  function own.load()
    own.loads = (own.loads or 0) + 1
    return own.text and keycycle.json.decode(own.text)
  end
  function own.keep(data)
    if own.failing then error(own.failing, 0) end
    own.saves = own.saves + 1
    own.text = keycycle.json.encode(data)
  end
  function own.save(data) return own.keep(data) end
  return own
end

-- Both ways to keep usage, each for a block of tests: what `new` is given, and the end.
local function sqlite_way()
  local folder, remove = files.folder()
  return { db_url = "sqlite:" .. folder .. "/usage.db" }, remove
end

local function lua_way()
  return { store = json_store() }, none
end

for way, make in pairs { ["a file"] = sqlite_way, ["a store written in Lua"] = lua_way } do
  describe("a second run on " .. way, function()
    local options, clock, remove
    before_each(function()
      options, remove = make()
      clock = keycycle.clock.manual(START)
      options.clock = clock
    end)
    after_each(function() remove() end)

    local function open(more, name)
      local config = { base_url = URL, keys = { A, B, C }, default_model = "m" }
      for k, v in pairs(more or {}) do config[k] = v end
      local wrapper = new(options):register_provider(name or "p", config)
      return wrapper, wrapper:get_manager(name or "p")
    end

    it("begins with the counts of the first", function()
      local first, manager = open()
      manager:get_specific_key(1, "m"):commit { input_tokens = 5, output_tokens = 2 }
      manager:get_specific_key(1, "n"):commit(4)
      manager:get_specific_key(2, "m"):cancel()
      manager:get_specific_key(2, "m"):cancel { sent = true }
      local before = manager:get_global_stats()
      first:stop()
      local second <close>, after = open()
      assert.same(before, after:get_global_stats())
      assert.equal(7, after:get_granular_stats(1, "m").snapshot.total_tokens)
      assert.equal(4, after:get_model_stats("n").total.total_tokens)
      assert.equal(1, after:get_key_stats(2).total.total_requests)
      assert.truthy(second)
    end)

    it("and a third with those of both", function()
      for run = 1, 3 do
        local wrapper <close>, manager = open()
        assert.same({ run - 1, 10 * (run - 1) }, { manager:get_global_stats().total.rpd,
          manager:get_global_stats().total.total_tokens })
        manager:get_key("m"):commit(10)
        assert.truthy(wrapper)
        clock:advance(100)
      end
    end)

    it("does not exceed a window that the first filled", function()
      local limits = { limits = { requests_per_minute = 3 }, keys = { A } }
      local first, manager = open(limits)
      for _ = 1, 3 do
        manager:get_key("m"):commit(1)
        clock:advance(10)
      end
      assert.is_nil((manager:get_key "m"))
      first:stop()
      clock:advance(5)
      local second <close>, after = open(limits)
      local lease, why = after:get_key "m"
      assert.is_nil(lease)
      assert.same({ "limited", "requests_per_minute" }, { why.code, why.limit })
      assert.is_true(why.retry_after > 20, why.retry_after) -- it was sent 35 s ago
      clock:advance(why.retry_after)
      assert.truthy(after:get_key "m")
      assert.is_nil((after:get_key "m"))
      assert.truthy(second)
    end)

    it("counts what was in flight at the end until its window has passed", function()
      local limits = { limits = { requests_per_minute = 1 }, keys = { A } }
      local first, manager = open(limits)
      local lease = manager:get_key("m", { estimated_tokens = 50 })
      first:stop() -- the lease is out still
      local second <close>, after = open(limits)
      assert.equal("limited", select(2, after:get_key "m").code)
      assert.same({ 1, 50 }, { after:get_global_stats().total.total_requests,
        after:get_global_stats().total.total_tokens })
      clock:advance(70)
      assert.truthy(after:get_key "m")
      assert.truthy(second)
      lease:commit(1)
    end)

    it("lets keys rest that were put away, and leaves dead ones out", function()
      local first, manager = open()
      manager:get_specific_key(1, "m"):cooldown(40)
      manager:disable(2)
      local lease = manager:get_specific_key(3, "m")
      lease:fail { status = 401, headers = {}, body = '{"error":{"code":"invalid_api_key"}}' }
      clock:advance(61)
      manager:get_specific_key(1, "m"):cooldown(40, true)
      lease = manager:get_specific_key(3, "m")
      lease:fail { status = 401, headers = {}, body = '{"error":{"code":"invalid_api_key"}}' }
      local before = manager:keys()
      assert.same({ "cooling", "disabled", "invalid" },
        { before[1].state, before[2].state, before[3].state })
      first:stop()
      clock:advance(10)
      local second <close>, after = open()
      assert.same(before, after:keys())
      assert.is_nil((after:get_key "m"))
      clock:advance(31)
      assert.equal(1, after:get_key("m").index)
      after:enable(2)
      second:stop()
      local third <close>, last = open()
      assert.same({ "probing", "ready", "invalid" }, { last:keys()[1].state, last:keys()[2].state,
        last:keys()[3].state })
      assert.truthy(third)
    end)

    it("waits until a spent quota is there again", function()
      local body = keycycle.json.encode { error = { code = "insufficient_quota" } }
      local first, manager = open({ keys = { A }, base_url = nil }, "openai")
      manager:get_key("m"):fail { status = 429, headers = {}, body = body }
      local before = manager:keys()[1]
      assert.equal("exhausted", before.state)
      first:stop()
      clock:advance(3600)
      local second <close>, after = open({ keys = { A }, base_url = nil }, "openai")
      assert.same(before, after:keys()[1])
      assert.truthy(second)
    end)

    it("knows the limits that the provider told the first", function()
      local config = { keys = { A }, base_url = nil }
      local first, manager = open(config, "openai")
      local lease = manager:get_key "m"
      lease:headers { ["x-ratelimit-limit-requests"] = "7",
        ["x-ratelimit-remaining-requests"] = "6" }
      lease:commit(1)
      local told = manager:explain("m")[1].limits
      assert.truthy(next(told))
      first:stop()
      clock:advance(1)
      local second <close>, after = open(config, "openai")
      assert.same(told, after:explain("m")[1].limits)
      assert.truthy(second)
    end)
  end)
end

describe("a store written in Lua", function()
  local own, clock, wrapper, lines
  local function open(opts)
    local all = { store = own, clock = clock }
    for k, v in pairs(opts or {}) do all[k] = v end
    wrapper = new(all):register_provider("p", { base_url = URL, keys = { A, B },
      default_model = "m" })
    return wrapper:get_manager "p"
  end
  before_each(function()
    own, clock, lines = json_store(), keycycle.clock.manual(START), {}
    keycycle.log.set_level "info"
    keycycle.log.set_sink(function(level, line) lines[#lines + 1] = level .. ": " .. line end)
  end)
  after_each(function()
    own.failing = nil
    if wrapper then wrapper:stop() end
    keycycle.log.set_level "warn"
    keycycle.log.set_sink(nil)
  end)

  it("is asked once, and given plain data that names no key", function()
    local manager = open()
    manager:get_specific_key(1, "m"):commit { input_tokens = 5, output_tokens = 2 }
    local got
    own.keep = function(data) got = data end
    wrapper:stop()
    assert.equal(1, own.loads)
    assert.equal(1, got.version)
    local sum = got.sums[1]
    assert.same({ "p", "m", 1, 5, 2, 7 },
      { sum.provider, sum.model, sum.requests, sum.input, sum.output, sum.total })
    local use = got.usage[1]
    assert.same({ 1, 7 }, { use.requests, use.total })
    assert.is_true(use.start_ms <= START * 1000 and START * 1000 < use.start_ms + use.span_ms)
    local said = texts(got)
    for _, key in ipairs { A, B } do
      assert.is_nil(said:find(key:sub(9, 20), 1, true))
    end
    local function look(value)
      assert.is_nil(getmetatable(value))
      for _, v in next, value do
        if type(v) == "table" then
          look(v)
        else
          assert.truthy(({ string = true, boolean = true })[type(v)]
            or math.type(v) == "integer", type(v))
        end
      end
    end
    look(got)
  end)

  it("is given the same again after it went through JSON", function()
    local manager = open()
    manager:get_key("m"):commit { input_tokens = 5, output_tokens = 2 }
    manager:get_key("n"):commit(9)
    manager:disable(2)
    wrapper:stop()
    local first = own.text
    open()
    wrapper:stop()
    assert.same(keycycle.json.decode(first), keycycle.json.decode(own.text))
    assert.equal(2, own.loads)
  end)

  it("saves from the loop, while something changes and not too often", function()
    local manager = open()
    local function turn(seconds)
      clock:advance(seconds)
      assert.equal(0, keycycle.step(0))
    end
    turn(10)
    local before = own.saves -- labels of the keys, at most
    turn(10)
    assert.equal(before, own.saves)
    manager:get_key("m"):commit(1)
    turn(9)
    assert.equal(before, own.saves)
    turn(1)
    assert.equal(before + 1, own.saves)
    for _ = 1, 5 do
      manager:get_key("m"):commit(1)
      turn(1)
    end
    assert.equal(before + 1, own.saves)
    turn(5)
    assert.equal(before + 2, own.saves)
    turn(100)
    assert.equal(before + 2, own.saves)
    manager:disable(1) -- a state alone
    turn(10)
    assert.equal(before + 3, own.saves)
    assert.is_nil(keycycle.timeout())
  end)

  it("is saved as often as it says", function()
    own.every = 0.5
    local manager = open()
    for i = 1, 3 do
      manager:get_key("m"):commit(1)
      clock:advance(0.5)
      keycycle.step(0)
      assert.equal(i, own.saves)
    end
  end)

  it("is saved when the program says so, and when it stops", function()
    local manager = open()
    manager:get_key("m"):commit(1)
    wrapper:save()
    assert.equal(1, own.saves)
    wrapper:save()
    assert.equal(2, own.saves)
    wrapper:stop()
    assert.equal(3, own.saves)
    wrapper:stop()
    assert.equal(3, own.saves)
    assert.equal("closed", raises(keycycle.KeycycleError, nil, wrapper.save, wrapper).code)
  end)

  it("is told of once when it fails, and when it works again", function()
    local manager = open()
    own.failing = "the disk is full"
    for _ = 1, 3 do
      manager:get_key("m"):commit(1)
      clock:advance(10)
      keycycle.step(0)
    end
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find "^warn: .*the disk is full")
    raises(keycycle.StoreError, "the disk is full", wrapper.save, wrapper)
    own.failing = nil
    clock:advance(10)
    keycycle.step(0)
    assert.same({ 1, 2, "info" }, { own.saves, #lines, lines[2]:match "^%l+" })
    assert.equal(3, keycycle.json.decode(own.text).sums[1].requests
      + (keycycle.json.decode(own.text).sums[2] or { requests = 0 }).requests)
  end)

  it("is tried again at the end, and what cannot be saved is told", function()
    open():get_key("m"):commit(1)
    own.keep = function() return nil, "no room left" end
    wrapper:stop()
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find "^warn: .*at the end.*no room left", lines[1])
  end)

  it("may call the library, whose waits block in it, but not yield", function()
    open():get_key("m"):commit(1)
    local order = {}
    own.keep = function()
      order[#order + 1] = "save"
      keycycle.sleep(0.001)
      order[#order + 1] = "saved"
    end
    keycycle.run(function()
      keycycle.spawn(function() order[#order + 1] = "other" end)
      wrapper:save()
      order[#order + 1] = "task"
    end)
    assert.same({ "save", "saved", "task", "other" }, order)
    own.keep = coroutine.yield
    raises(keycycle.StoreError, "yields", wrapper.save, wrapper)
    own.keep = function() wrapper:save() end
    raises(keycycle.StoreError, "from within", wrapper.save, wrapper)
    own.keep = function() wrapper:stop() end
    wrapper:save()
    own.keep = error -- it is stopped
    wrapper:stop()
  end)

  it("raises what load raises, and takes nothing of what is damaged", function()
    own.load = function() error("no such slot", 0) end
    raises(keycycle.StoreError, "store.load failed: no such slot", open)
    local sound = { version = 1, usage = {}, sums = {}, states = {} }
    local use = { provider = "p", key = "ab", model = "m", start_ms = 0, span_ms = 2000,
      last_ms = 1, requests = 1 }
    local state = { provider = "p", key = "ab", model = "", label = "", suffix = "", reason = "",
      learned = "", state = "ready", changed_ms = 1 }
    for where, change in pairs {
      ["it is a string"] = function() return "x" end,
      ["its version is 2"] = function(d) d.version = 2 end,
      ["its version is nil"] = function(d) d.version = nil end,
      ["usage must be a list"] = function(d) d.usage = nil end,
      ["sums[2] must be a table, not a nil"] = function(d) d.sums = { use, [3] = use } end,
      ["usage[1] must be a table"] = function(d) d.usage = { 5 } end,
      ["usage[2].requests must be a whole number"] = function(d)
        d.usage = { use, setmetatable({ requests = 1.5 }, { __index = use }) }
      end,
      ["usage[1].total must be"] = function(d)
        d.usage = { setmetatable({ total = -1 }, { __index = use }) }
      end,
      ["usage[1].last_ms must be"] = function(d)
        d.usage = { setmetatable({ last_ms = "1" }, { __index = use }) }
      end,
      ["sums[1].key must be a text"] = function(d)
        d.sums = { setmetatable({ key = 7 }, { __index = use }) }
      end,
      ["sums[1].model must be a text of at most 255 bytes"] = function(d)
        d.sums = { setmetatable({ model = ("x"):rep(256) }, { __index = use }) }
      end,
      ["states[1].state must be"] = function(d)
        d.states = { setmetatable({ state = "odd" }, { __index = state }) }
      end,
      ["states[1].disabled must be true or false"] = function(d)
        d.states = { setmetatable({ disabled = 1 }, { __index = state }) }
      end,
    } do
      local data = {}
      for k, v in pairs(sound) do data[k] = v end
      data = change(data) or data
      own.load = function() return data end
      local err = raises(keycycle.StoreError, where, open)
      assert.equal("corrupt", err.code)
    end
    own.load = function() return { version = 1, usage = { use }, sums = {}, states = { state } } end
    open()
  end)

  it("that is forgotten without stop is saved when it is collected", function()
    local saves = 0
    do
      local lost = new { store = { load = none, save = function() saves = saves + 1 end } }
      lost:register_provider("p", { base_url = URL, keys = { A }, default_model = "m" })
      lost:get_manager("p"):get_key():commit(1)
    end
    for _ = 1, 5 do collectgarbage() end
    assert.equal(1, saves)
  end)
end)

describe("wrapper:save", function()
  it("writes to a database at once, and does nothing without one", function()
    local folder, remove = files.folder()
    local options = { db_url = "sqlite:" .. folder .. "/usage.db" }
    local function open()
      return new(options):register_provider("p", { base_url = URL, keys = { A },
        default_model = "m" })
    end
    local one = open()
    one:get_manager("p"):get_key():commit(5)
    one:save()
    local two = open()
    assert.equal(5, two:get_manager("p"):get_global_stats().total.total_tokens)
    one:stop()
    two:stop()
    remove()
    local bare <close> = new {}
    bare:save()
  end)
end)

describe("wrappers that share a pool", function()
  it("keep it in one store", function()
    local folder, remove = files.folder()
    local function open(opts)
      opts.shared = "kept"
      local wrapper = new(opts)
      local ok, err = pcall(wrapper.register_provider, wrapper, "p",
        { base_url = URL, keys = { A }, default_model = "m" })
      if ok then return wrapper end
      wrapper:stop()
      error(err, 0)
    end
    local url = "sqlite:" .. folder .. "/one.db"
    local one, two = open { db_url = url }, open { db_url = url }
    for _, opts in ipairs { { db_url = "sqlite:" .. folder .. "/other.db" },
      { db_url = "memory:" }, { store = { load = none, save = none } } } do
      local err = raises(Invalid, nil, open, opts)
      assert.same({ "differs", "p" }, { err.code, err.provider })
    end
    local bare = open {}
    for i, wrapper in ipairs { one, two, bare } do
      wrapper:get_manager("p"):get_key():commit(10)
      wrapper:stop()
      assert.truthy(i)
    end
    local again = open { db_url = url }
    assert.equal(30, again:get_manager("p"):get_global_stats().total.total_tokens)
    again:stop()
    remove()
  end)
end)

-- What the loop sees of a store, played: a real one that fails is in
-- tests/integration/store_mysql_spec.lua.
describe("a store that fails", function()
  local core = require "keycycle.core"
  local open_journal, journal, wrapper, lines = core.journal, nil, nil, nil
  before_each(function()
    lines = {}
    keycycle.log.set_level "info"
    keycycle.log.set_sink(function(level, line) lines[#lines + 1] = level .. ": " .. line end)
    journal = { n = 0, now = { waiting = 0, set_aside = 0, failing = 0, error = "", aside = "" } }
    function journal:changes() return self.n end
    function journal:status() return self.now end
    function journal.attach() return true end
    function journal.close() return true end
    core.journal = function() return journal end
    wrapper = new { db_url = "sqlite:x" }
    core.journal = open_journal
    wrapper:register_provider("p", { base_url = URL, keys = { A }, default_model = "m" })
  end)
  after_each(function()
    wrapper:stop()
    keycycle.log.set_level "warn"
    keycycle.log.set_sink(nil)
  end)
  local function change(fields)
    for k, v in pairs(fields) do journal.now[k] = v end
    journal.n = journal.n + 1
  end

  it("is told of once, and once that it works again", function()
    keycycle.step(0)
    assert.same({}, lines)
    change { failing = 0.1, error = "database is locked" }
    for _ = 1, 3 do keycycle.step(0) end
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find "^warn: .*database is locked$")
    change { failing = 0, error = "" }
    for _ = 1, 3 do keycycle.step(0) end
    assert.same({ 2, "info" }, { #lines, lines[2]:match "^%l+" })
  end)

  it("is told of in the next call, where the program has no loop", function()
    change { failing = 0.1, error = "gone away" }
    keycycle.sleep(0.001)
    assert.truthy(lines[1]:find("gone away", 1, true))
    change { failing = 0, error = "" }
    wrapper:get_manager("p"):keys()
    assert.equal(2, #lines)
  end)

  it("is told of with what it refused for good", function()
    local folder, remove = files.folder()
    local real = new { db_url = "sqlite:" .. folder .. "/usage.db" }
    real:register_provider("p", { base_url = URL, keys = { A }, default_model = "m" })
    local manager = real:get_manager "p"
    manager:get_key(("x"):rep(300)):commit(1)
    manager:get_key("m"):commit(1)
    real:save() -- the rest is written
    keycycle.step(0)
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find "^warn: the store refused .*%(1%): p, model \"xxx")
    assert.truthy(manager:metrics():find('keycycle_store_set_aside{provider="p"} 1', 1, true))
    real:stop()
    assert.equal(1, #lines)
    remove()
  end)

  it("is told of at the end with what is lost", function()
    journal.close = function()
      return nil, { code = "store", message = "7 counts could not be written: gone away" }
    end
    wrapper:stop()
    assert.same({ "warn: 7 counts could not be written: gone away" }, lines)
  end)

  it("shows in the metrics", function()
    change { waiting = 7, failing = 61.5, set_aside = 2 }
    local text = wrapper:get_manager("p"):metrics()
    for _, line in ipairs { "# TYPE keycycle_store_waiting gauge",
      'keycycle_store_waiting{provider="p"} 7', 'keycycle_store_failing_seconds{provider="p"} 61.5',
      'keycycle_store_set_aside{provider="p"} 2' } do
      assert.truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line)
    end
    local bare <close> = new {}
    bare:register_provider("p", { base_url = URL, keys = { A } })
    assert.is_nil(bare:get_manager("p"):metrics():find "keycycle_store")
  end)
end)

describe("the README's example", function()
  local folder, remove
  before_each(function() folder, remove = files.folder() end)
  after_each(function() remove() end)

  -- The one whose first line is the comment `name`; it may use the names in `given`.
  local function recipe(name, given)
    return assert(load(blocks.named("README.md", name) .. "\nreturn wrapper", "=README.md", "t",
      setmetatable(given, { __index = _G })))
  end

  it("keeps usage in a database", function()
    local env_file = files.write("OPENAI_API_KEY=" .. A)
    local from_env = keycycle.MultiClientWrapper.from_env
    local played = { MultiClientWrapper = { from_env = function(providers, opts)
      assert.equal("sqlite:usage.db", opts.db_url)
      opts.db_url, opts.env_file = "sqlite:" .. folder .. "/usage.db", env_file
      return from_env(providers, opts)
    end } }
    assert.is_true(recipe("usage in a database", { keycycle = played })().stopped)
    assert(io.open(folder .. "/usage.db")):close()
    os.remove(env_file)
  end)

  it("keeps usage in a save game", function()
    local function open(path, mode) return io.open(folder .. "/" .. path, mode) end
    local play = recipe("usage in a save game", { keycycle = keycycle, io = { open = open } })
    for run = 0, 2 do
      local wrapper = play()
      wrapper:register_provider("p", { base_url = URL, keys = { A }, default_model = "m" })
      local manager = wrapper:get_manager "p"
      assert.equal(run, manager:get_global_stats().total.rpm)
      manager:get_key():commit(1)
      wrapper:stop()
    end
  end)
end)
