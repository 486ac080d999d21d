--- keycycle stats: what a process without any key tells of the use of another one.
local keycycle = require "keycycle"
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local json = keycycle.json
local build = servers.path()

local first, second = "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2"

-- A run of a program: calls with two keys and two models, one key's refusal. It prints what
-- its own manager counts.
local program = [[
  local keycycle = require "keycycle"
  local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = "sqlite:usage.db" }
  wrapper:register_provider("mymock", { base_url = arg[1], default_model = "m-one",
    selection = "round_robin", keys = { { api_key = "sk-mock-aaaaaaaaaaaaaaaa-1",
    label = "the first" }, "sk-mock-bbbbbbbbbbbbbbbb-2" } })
  local client = wrapper:get_rotating_client "mymock"
  for i = 1, tonumber(arg[2]) do
    client.chat.completions:create { model = i % 3 == 0 and "m-two" or "m-one",
      messages = { { role = "user", content = "Hello " .. i } } }
  end
  local manager, keys = wrapper:get_manager "mymock", {}
  for i = 1, 2 do keys[i] = manager:get_key_stats(i) end
  print(keycycle.json.encode { total = manager:get_global_stats().total, keys = keys })
]]

local folder, remove, mock
setup(function()
  folder, remove = files.folder()
  files.put(folder .. "/use.lua", program)
  mock = servers.mock("--keys " .. first .. "," .. second)
end)
teardown(function()
  mock.stop()
  remove()
end)

local function run(command, env) return servers.command(folder, command, env) end

-- What a command prints on a terminal of `columns`.
local function on_terminal(command, columns, env)
  local pipe <close> = assert(io.popen(("cd %s && env -i PATH=\"$PATH\" HOME=%s TERM=xterm %s "
    .. "timeout 60 script -qec 'stty cols %d rows 60; %s/keycycle %s' /dev/null </dev/null")
    :format(folder, folder, env or "", columns, build, command)))
  return (pipe:read "a":gsub("\r\n", "\n"))
end

local function use(calls)
  local text, rc = run(("use.lua %s %d"):format(mock.url, calls))
  assert.equal(0, rc, text)
  return json.decode(text)
end

local function has(text, ...)
  for _, want in ipairs { ... } do
    assert.truthy(text:find(want, 1, true), want .. "\nis not in\n" .. text)
  end
end

local function tells_no_key(text)
  assert.is_nil(text:find("sk-mock-", 1, true), text)
  assert.is_nil(text:find("aaaaaaaa", 1, true), text)
end

describe("keycycle stats", function()
  local counted
  setup(function() counted = use(7) end)

  it("shows what another process has used, as plain text where nobody looks", function()
    local text, rc = run "stats --db sqlite:usage.db"
    assert.equal(0, rc, text)
    has(text, "sqlite:usage.db, ", "days are UTC days", "\ntoday ", "\n7 days ", "\nin all ",
      "\nmymock: 2 keys, 2 models; 7 requests and ", "\nthe first  aaaa-1 ", "\nkey        bbbb-2 ",
      "\nm-one ", "\nm-two ", "aaaa-1  m-one", "last min", "ready")
    assert.is_nil(text:find "[\27\128-\255]")
    tells_no_key(text)
    assert.equal(text:match "\n(mymock.*)", run("stats mymock --days 7", "TIDB_DB_URL="
      .. "sqlite:usage.db"):match "\n(mymock.*)")
  end)

  it("says as JSON what the manager of that run counted", function()
    local text, rc = run "stats --db sqlite:usage.db --json --days 2"
    assert.equal(0, rc, text)
    tells_no_key(text)
    local all = json.decode(text)
    local provider = all.providers[1]
    assert.equal("sqlite:usage.db", all.store)
    assert.same({ 1, "mymock", 2, 2 }, { #all.providers, provider.provider, #all.total.days,
      #provider.models })
    local function same_counts(want, thing)
      assert.same({ want.total_requests, want.total_tokens, want.rpd, want.tpd },
        { thing.requests, thing.total_tokens, thing.windows.rpd, thing.windows.tpd })
      assert.equal(thing.total_tokens, thing.input_tokens + thing.output_tokens)
      local days = thing.days[1].requests + thing.days[2].requests -- midnight may have passed
      assert.equal(thing.requests, days)
    end
    same_counts(counted.total, all.total)
    same_counts(counted.total, provider)
    for _, key in ipairs(provider.keys) do
      local of = key.suffix == counted.keys[1].suffix and counted.keys[1] or counted.keys[2]
      assert.same({ of.suffix, of.index == 1 and "the first" or "", "ready" },
        { key.suffix, key.label, key.state })
      same_counts(of.total, key)
      for _, pair in ipairs(provider.pairs) do
        if pair.key == key.key then same_counts(of.breakdown[pair.model], pair) end
      end
    end
    assert.equal(4, #provider.pairs)
  end)

  it("adds up several runs", function()
    use(2)
    local all = json.decode((run "stats --db sqlite:usage.db --json"))
    assert.equal(counted.total.total_requests + 2, all.total.requests)
    assert.equal(all.total.requests, all.providers[1].requests)
  end)

  it("finds the store in .env, and in the file that --env names", function()
    files.put(folder .. "/.env", "TIDB_DB_URL=sqlite:usage.db\n")
    files.put(folder .. "/other.env", "TIDB_DB_URL=sqlite:nope.db\n")
    has(run "stats", "mymock: 2 keys")
    local text, rc = run "--env other.env stats"
    assert.equal(1, rc, text)
    has(text, "nope.db")
    os.remove(folder .. "/.env")
  end)

  it("fits a terminal, in colour where that is wanted", function()
    if not os.execute "command -v script >/dev/null" then return end
    for _, columns in ipairs { 40, 72, 200 } do
      local text = on_terminal("stats --db sqlite:usage.db", columns)
      has(text, "\27[1m", "\27[32m")
      for line in text:gsub("\27%[[%d;]*m", ""):gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= math.min(columns, 100), line)
      end
    end
    local text = on_terminal("stats --db sqlite:usage.db", 100, "NO_COLOR=1")
    has(text, "█", "mymock: 2 keys")
    assert.is_nil(text:find("\27", 1, true))
  end)
end)

describe("keycycle stats --watch", function()
  setup(function() use(1) end)

  -- Starts it: what it prints, and its pid.
  local function watch(options)
    local pipe = assert(io.popen(("cd %s && echo $$ && exec env -i HOME=%s %s/keycycle stats "
      .. "--db sqlite:usage.db --watch --every 0.02 %s 2>&1"):format(folder, folder, build,
      options or "")))
    return pipe, pipe:read "l"
  end

  local function line_with(pipe, pattern)
    for line in pipe:lines() do
      if line:find(pattern) then return line end
    end
    error("it ended before it printed " .. pattern)
  end

  -- Ctrl-C; what it printed until its end, which is a good one.
  local function interrupt(pipe, pid)
    assert(os.execute("kill -INT " .. pid))
    local text = pipe:read "a"
    assert.is_true(pipe:close())
    assert.is_nil(text:find("interrupted", 1, true), text)
  end

  it("tells again and again what has come, until Ctrl-C", function()
    local pipe, pid = watch()
    line_with(pipe, "^sqlite:usage.db, ")
    assert.equal("", pipe:read "l")
    line_with(pipe, "^since the last look 0.0 requests/s, 0 tokens/s$")
    use(1)
    line_with(pipe, "^since the last look [%d.]*[1-9][%d.]* requests/s, [%d.k]+ tokens/s$")
    interrupt(pipe, pid)
  end)

  it("prints a document a line as JSON", function()
    local pipe, pid = watch "--json"
    local before = json.decode(pipe:read "l")
    use(2)
    local all
    repeat all = json.decode(pipe:read "l") until all.total.requests > before.total.requests + 1
    assert.equal(before.total.requests + 2, all.total.requests)
    assert.truthy(all.at > before.at)
    interrupt(pipe, pid)
  end)
end)

describe("keycycle stats --watch, when the store fails,", function()
  it("says so, and goes on", function()
    files.put(folder .. "/failing.lua", [[
      local core, looks = require "keycycle.core", 0
      local open = core.store_reader
      function core.store_reader(url)
        local reader = assert(open(url))
        return setmetatable({ report = function(_, ...)
          looks = looks + 1
          if looks == 2 then return nil, { code = "store", message = "gone \27[2Jfor now" } end
          return reader:report(...)
        end }, { __close = function() reader:close() end })
      end]])
    local text = run("-e 'dofile \"failing.lua\"' stats --db sqlite:usage.db --json --watch "
      .. "--every 0.01 | head -n 3")
    local documents = 0
    for line in text:gmatch "[^\n]+" do
      if line:find "^{" then documents = documents + 1 end
    end
    assert.equal(2, documents, text)
    has(text, "keycycle stats: gone [2Jfor now\n")
  end)
end)

describe("keycycle stats, where there is nothing,", function()
  it("says so, and makes no file", function()
    for _, url in ipairs { "sqlite:nope.db", "sqlite:///nope.db", "sqlite:no/such/nope.db" } do
      for _, more in ipairs { "", " --json", " --watch" } do
        local text, rc = run("stats --db " .. url .. more)
        assert.equal(1, rc, text)
        has(text, "there is no store", "nope.db")
        assert.is_nil(text:find("usage:", 1, true))
      end
    end
    assert.is_nil((io.open(folder .. "/nope.db")))
    assert.is_nil((io.open(folder .. "/no")))
  end)

  it("says of whom nothing is known", function()
    use(1)
    local text, rc = run "stats --db sqlite:usage.db nobody mymocks"
    assert.equal(1, rc)
    assert.equal("keycycle stats: nothing is known of nobody, mymocks in sqlite:usage.db\n", text)
    files.put(folder .. "/none.lua", [[
      local wrapper <close> = require "keycycle".MultiClientWrapper.new {
        db_url = "sqlite:empty.db" }]])
    assert.equal(0, select(2, run "none.lua"))
    text, rc = run "stats --db sqlite:empty.db"
    assert.equal(1, rc, text)
  end)

  it("refuses a file that is none of its own, and leaves it as it is", function()
    files.put(folder .. "/text.db", ("no database "):rep(100))
    local text, rc = run "stats --db sqlite:text.db"
    assert.equal(1, rc, text)
    has(text, "keycycle stats: ", "text.db")
    local file <close> = assert(io.open(folder .. "/text.db"))
    assert.equal(("no database "):rep(100), file:read "a")
  end)
end)

describe("keycycle stats, when it is wrongly used,", function()
  it("says how it is used", function()
    for command, word in pairs {
      ["stats"] = "which store? --db sqlite:FILE says, or TIDB_DB_URL",
      ["stats --db"] = "--db needs a value", ["stats --db nosuch:x"] = "nosuch",
      ["stats --db usage.db"] = "sqlite:usage.db", ["stats --db ''"] = "which store?",
      ["stats --db sqlite:x.db --days 0"] = "--days is a whole number",
      ["stats --db sqlite:x.db --every 2"] = "--every",
      ["stats --db sqlite:x.db --nope"] = "--nope",
      ["stats --db sqlite:x.db --watch --every no"] = "--every",
      ["stats --db sqlite:x.db --watch --every 0"] = "--every",
    } do
      local text, rc = run(command)
      assert.equal(2, rc, command .. text)
      has(text, "keycycle stats: ", word, "usage: keycycle stats")
      assert.is_nil(text:find("traceback", 1, true))
    end
  end)

  it("never shows a password", function()
    for _, url in ipairs { "mysql://me:pa55word@127.0.0.1:1/db", "nosuch://me:pa55word@host/db",
      "mysql+pymysql://me:pa55word@127.0.0.1:1/db?ssl=x", "me:pa55word@host" } do
      local text, rc = run("stats --db '" .. url .. "'")
      assert.not_equal(0, rc)
      assert.is_nil(text:find("pa55", 1, true), text)
    end
  end)
end)
