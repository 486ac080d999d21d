--- lighttpd's mod_magnet: calls inside its requests, in its Lua state.
local files = require "tests.support.files"
local hosts = require "tests.support.hosts"
local http = require "keycycle.http"
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2" }
local FOLDER = "tests/hosts/lighttpd"

local here = assert(io.popen "pwd"):read "l"

-- lighttpd in the foreground, with a folder for what it writes. `ended()` waits for its
-- end: its exit code, and its log.
local function lighttpd(base_url)
  local folder, remove = files.folder()
  local port = servers.free_port()
  local template <close> = assert(io.open(FOLDER .. "/lighttpd.conf"))
  files.put(folder .. "/lighttpd.conf", template:read "a":gsub("%${(%w+)}",
    { scripts = here .. "/" .. FOLDER, folder = folder, port = port }))
  local pipe = assert(io.popen(("echo $$; exec env BASE_URL=%s STORE=sqlite:%s/store "
    .. "LUA_CPATH='%s/?.so' LUA_PATH='%s/%s/?.lua' PATH=$PATH:/usr/sbin "
    .. "lighttpd -D -f %s/lighttpd.conf 2>&1"):format(base_url, folder,
    servers.path(), here, FOLDER, folder)))
  local server = { folder = folder, pid = pipe:read "l", remove = remove }
  function server.get(path)
    return http.request { url = ("http://127.0.0.1:%d/%s"):format(port, path), timeout = 60 }
  end
  function server.signal(name) assert(os.execute(("kill -%s %s"):format(name, server.pid))) end
  function server.log()
    local log <close> = assert(io.open(folder .. "/error.log"))
    return log:read "a"
  end
  function server.ended()
    local said = pipe:read "a"
    local _, how, code = pipe:close()
    pipe = nil
    assert.same({ "", "exit" }, { said, how })
    return code
  end
  function server.stop()
    if pipe then
      server.signal "KILL"
      pipe:close()
    end
    remove()
  end
  return server
end

local function wait_for(server)
  hosts.wait("lighttpd to listen", function() return (pcall(server.get, "stats")) end)
end

-- What it is told before it has begun anew is forgotten.
local function wait_for_restart(server)
  hosts.wait("a second start", function()
    return select(2, server.log():gsub("server started", "")) == 2
  end)
end

-- What the store of a server that has ended says of all keys.
local function stored(server)
  local wrapper <close> = keycycle.MultiClientWrapper.new {
    db_url = "sqlite:" .. server.folder .. "/store" }
  wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = KEYS })
  return wrapper:get_manager("p"):get_global_stats().total
end

local function body(server, path)
  local answer = server.get(path)
  assert.equal(200, answer.status)
  return answer.body
end

describe("in lighttpd #plain", function()
  local mock, server
  before_each(function()
    mock = servers.mock("--keys " .. table.concat(KEYS, ","))
    server = lighttpd(mock.url)
    wait_for(server)
  end)
  after_each(function()
    server.stop()
    mock.stop()
  end)

  it("one wrapper serves all requests, and what they used is counted", function()
    for i = 1, 10 do assert.equal("You said: word " .. i, body(server, "ask/word%20" .. i)) end
    assert.equal("[You said: one][ two three]",
      (body(server, "read/one%20two%20three"):gsub("%[%]", "")))
    local tokens = body(server, "stats"):match "^requests 11 tokens (%d+) open 0 "
    server.signal "INT"
    assert.equal(0, server.ended())
    local total = stored(server)
    assert.same({ 11, math.tointeger(tokens), 0 },
      { total.total_requests, total.total_tokens, total.in_flight })
  end)

  it("requests leave nothing behind in its Lua state", function()
    local function bytes()
      for _ = 1, 30 do body(server, "ask/word") end
      return tonumber(body(server, "stats"):match "lua (%d+)$")
    end
    bytes()
    local before = bytes()
    assert.is_true(bytes() - before < 4096)
  end)

  it("an error in the script is a 500, and the next request is served", function()
    assert.equal(500, server.get("nothing/x").status)
    assert.equal(500, server.get("ask/mock:status=400").status)
    assert.equal("You said: word", body(server, "ask/word"))
    assert.truthy(body(server, "stats"):find("requests 2 ", 1, true))
    local log = server.log()
    assert.truthy(log:find("there is no such page", 1, true), log)
    assert.truthy(log:find("status 400", 1, true) or log:find("400", 1, true), log)
    for _, key in ipairs(KEYS) do assert.is_nil(log:find(key, 1, true)) end
  end)

  it("a restart in its own process closes the state and begins a new one", function()
    assert.equal("You said: word", body(server, "ask/word"))
    server.signal "USR1"
    wait_for_restart(server)
    assert.equal("You said: word", body(server, "ask/word"))
    local n = tonumber(body(server, "stats"):match "requests (%d+) ")
    server.signal "INT"
    assert.equal(0, server.ended())
    assert.equal(n, stored(server).total_requests)
  end)
end)

describe("lighttpd told to stop in the middle of a call #plain", function()
  local provider, server
  before_each(function()
    provider = servers.canned [[return function()
      return 200, {}, { '{"choices":[{"message":{"content":', false,
        '"at last"}}],"usage":{"total_tokens":7}}' }
    end]]
    server = lighttpd(provider.url .. "/v1")
    wait_for(server)
  end)
  after_each(function()
    server.stop()
    provider.stop()
  end)

  for signal, answered in pairs { INT = true, TERM = false, USR1 = true } do
    it("by SIG" .. signal .. " ends once the answer is there", function()
      local call = keycycle.spawn(function()
        local ok, answer = pcall(server.get, "ask/word")
        return ok and answer.body
      end)
      hosts.wait("the call", function() return #provider.journal() == 1 end)
      server.signal(signal)
      provider.release()
      local text = call:await()
      if answered then assert.equal("at last", text) end
      if signal == "USR1" then
        wait_for_restart(server)
        assert.truthy(body(server, "stats"):find("requests 1 tokens 7 open 0", 1, true))
        server.signal "INT"
      end
      -- By SIGTERM it ends with 1 where a connection was open.
      assert.is_true(server.ended() <= (signal == "TERM" and 1 or 0))
      local total = stored(server)
      assert.same({ 1, 7, 0 }, { total.total_requests, total.total_tokens, total.in_flight })
    end)
  end
end)
