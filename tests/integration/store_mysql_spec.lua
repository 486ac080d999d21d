--- The guide's database, by its option and by its variable, on a real MariaDB: what comes
--- back after a restart, and what a program is told while the database is gone.
local core = require "keycycle.core"
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local OPENAI = { "sk-mock-aaaaaaaaaaaaaaaa-01", "sk-mock-bbbbbbbbbbbbabc123" }
local ENV = ("OPENAI_API_KEY_1=%s\nOPENAI_API_KEY_2=%s\n"):format(OPENAI[1], OPENAI[2])
local hello = { messages = { { role = "user", content = "Hello" } } }

-- A build without the client library has nothing to ask here.
local _, refused = core.journal "mysql://nobody@127.0.0.1:1/none"
local here = refused.code ~= "no_such_store" and describe or function() end

here("a MySQL database", function()
  local db, mock, lines
  setup(function()
    db = servers.mariadb()
    mock = servers.mock("--keys " .. table.concat(OPENAI, ","))
  end)
  teardown(function()
    mock.stop()
    db.stop()
  end)
  before_each(function()
    lines = {}
    keycycle.log.set_level "info"
    keycycle.log.set_sink(function(level, line) lines[#lines + 1] = level .. ": " .. line end)
  end)
  after_each(function()
    keycycle.log.set_level "warn"
    keycycle.log.set_sink(nil)
    assert.is_nil(table.concat(lines, "\n"):find("kcpw", 1, true))
  end)

  local function from_env(text, opts)
    local path = files.write(ENV .. text)
    opts.env_file = path
    local wrapper = keycycle.MultiClientWrapper.from_env({ openai = keycycle.ProviderEnvConfig {
      default_model = "gpt-4", base_url = mock.url } }, opts)
    os.remove(path)
    return wrapper
  end

  local ways = {
    { "option", function(url) return from_env("", { db_url = url }) end },
    { "variable", function(url) return from_env("TIDB_DB_URL=" .. url, {}) end },
  }
  for at, way in ipairs(ways) do
    it("that an " .. way[1] .. " names brings all statistics back", function()
      local before
      for run = 1, 2 do
        local url = db.db_url()
        local wrapper = way[2](at == 1 and url or url:gsub("^mysql", "mysql+pymysql"))
        local manager = wrapper:get_manager "openai"
        if run == 1 then
          local client = wrapper:get_rotating_client("openai", keycycle.OpenAI)
          for id = 1, 2 do client.chat.completions:create(hello, { key_id = id }) end
        end
        local stats = { manager:get_global_stats(), manager:get_key_stats(1),
          manager:get_key_stats "abc123", manager:get_model_stats "gpt-4",
          manager:get_granular_stats(2, "gpt-4") }
        assert.equal(2 * at, stats[1].total.total_requests)
        assert.equal(at, stats[5].snapshot.rpm)
        assert.is_true(stats[2].breakdown["gpt-4"].total_tokens > 0)
        assert.same(before or stats, stats)
        before = stats
        wrapper:stop()
      end
      assert.same({}, lines)
    end)
  end

  local function bare()
    return keycycle.MultiClientWrapper.new { db_url = db.db_url() }:register_provider("p", {
      base_url = mock.url, keys = OPENAI, default_model = "m" })
  end

  it("may go and come back: no call sees it, nothing is lost, and it is told once", function()
    local wrapper = bare()
    local manager = wrapper:get_manager "p"
    manager:get_key():commit(1)
    wrapper:save()
    db.kill()
    for _ = 1, 3 do manager:get_key():commit(1) end
    while #lines == 0 do keycycle.step(1) end
    assert.truthy(lines[1]:find "^warn: usage cannot be written")
    local metrics = manager:metrics()
    assert.truthy(metrics:find 'keycycle_store_waiting{provider="p"} [1-9]')
    assert.is_true(tonumber(metrics:match 'failing_seconds{provider="p"} ([%d.]+)') > 0)
    raises(keycycle.StoreError, nil, wrapper.save, wrapper, 0.01)
    for _ = 1, 3 do keycycle.step(0) end
    assert.equal(1, #lines)
    db.again()
    wrapper:save()
    keycycle.step(0)
    assert.same({ "info: usage is written again", 2 }, { lines[2], #lines })
    assert.truthy(manager:metrics():find 'keycycle_store_waiting{provider="p"} 0')
    wrapper:stop()
    local again <close> = bare()
    assert.equal(4, again:get_manager("p"):get_global_stats().total.total_tokens)
  end)

  it("that is gone at the end is told with how many counts are lost, and why", function()
    local journal = assert(core.journal(db.db_url()))
    local pool = core.pool { provider = "q" }
    pool:add_key { api_key = OPENAI[1] }
    assert(journal:attach(pool))
    db.kill()
    assert(pool:acquire("m", 1)):commit(1)
    local ok, err = journal:close(0.05)
    db.again()
    assert.is_nil(ok)
    assert.equal("store", err.code)
    assert.truthy(err.message:find "^%d counts could not be written before the end: .")
    assert.is_nil(err.message:find("kcpw", 1, true))
    pool:close()
  end)
end)
