--- After a fork: the child is told so at its first use and breaks nothing of the
--- parent's. What of libcurl's it can neither use nor close it leaks, by design.
local servers = require "tests.support.servers"

local SCRIPT = [[
  local keycycle = require "keycycle"
  local proc = require "proclib"
  local path = os.tmpname()
  local function open()
    return keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. path }
      :register_provider("p", { base_url = arg[1], default_model = "m",
        keys = { "sk-mock-aaaaaaaaaaaaaaaa-1" } })
  end
  local wrapper = open()
  local client = wrapper:get_rotating_client "p"
  local function ask() return client.chat.completions:create {
    messages = { { role = "user", content = "hi" } } } end
  ask()
  io.stdout:flush()
  local pid = proc.fork()
  if pid == 0 then
    local codes = {}
    for i, fn in ipairs { ask,
      function() wrapper:get_manager "p":get_key "m" end,
      function() wrapper:get_manager "p":get_global_stats() end } do
      local ok, err = pcall(fn)
      codes[i] = ok and "went through" or err.code
    end
    print("child", table.concat(codes, " "))
    os.exit(0, true)
  end
  local ended, code = proc.wait(pid)
  print(ended, code)
  ask()
  wrapper:stop()
  local again <close> = open()
  print("parent", again:get_manager "p":get_global_stats().total.total_requests)
  for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
]]

-- Its leases, waits and subscriptions are closed in the child, too.
local SHARED = [[
  local keycycle = require "keycycle"
  local proc = require "proclib"
  local function open()
    return keycycle.MultiClientWrapper.new { shared = "x" }:register_provider("p", {
      base_url = "http://127.0.0.1:1/v1", default_model = "m",
      keys = { "sk-mock-aaaaaaaaaaaaaaaa-1" }, limits = { concurrent_requests = 1 } })
  end
  local wrapper = open()
  local manager = wrapper:get_manager "p"
  local lease = manager:get_key()
  manager:on("acquire", function() end)
  local waits = keycycle.spawn(function() return manager:get_key("m", { wait = true }) end)
  keycycle.step(0)
  io.stdout:flush()
  local pid = proc.fork()
  if pid == 0 then
    local codes = {}
    for i, fn in ipairs { function() manager:get_key() end, function() lease:commit(1) end,
      function() return lease.api_key or error { code = "no key" } end,
      function() wrapper:register_provider("p", { keys = { "sk-mock-aaaaaaaaaaaaaaaa-1" },
        base_url = "http://127.0.0.1:1/v1" }) end } do
      local ok, err = pcall(fn)
      codes[i] = ok and "went through" or err.code
    end
    wrapper:stop()
    print("child", table.concat(codes, " "))
    os.exit(0, true)
  end
  local ended, code = proc.wait(pid)
  print(ended, code)
  lease:cancel()
  print("parent", keycycle.run(function() return waits:await() end).index)
]]

-- A loop's timer belongs to both processes, until the child leaves it alone.
local SLEEPS = [[
  local keycycle = require "keycycle"
  local proc = require "proclib"
  local sleeps = keycycle.spawn(keycycle.sleep, 0.2)
  keycycle.step(0)
  local pid = proc.fork()
  if pid == 0 then
    sleeps:cancel()
    os.exit(0, true)
  end
  local ended, code = proc.wait(pid)
  print(ended, code)
  sleeps:await()
]]

-- What the child has is old: it must not take the place of what the parent saves.
local OWN_STORE = [[
  local keycycle = require "keycycle"
  local proc = require "proclib"
  local name = "parent"
  local wrapper = keycycle.MultiClientWrapper.new { store = { load = function() end,
    save = function(data) print(name, "saves", data.sums[1].requests) end } }
  wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", default_model = "m",
    keys = { "sk-mock-aaaaaaaaaaaaaaaa-1" } })
  wrapper:get_manager "p":get_key():commit(1)
  local pid = proc.fork()
  if pid == 0 then
    name = "child"
    local ok, err = pcall(wrapper.save, wrapper)
    wrapper:stop()
    print("child", ok, err.code)
    os.exit(0, true)
  end
  local ended, code = proc.wait(pid)
  print(ended, code)
  wrapper:get_manager "p":get_key():commit(1)
  wrapper:stop()
]]

-- Not sanitized: where a thread allocates while the process forks, gcc 12's allocator stays
-- locked in the child for ever. The C library's own does not.
describe("after a fork #plain", function()
  it("a store written in Lua is saved by the parent alone", function()
    local out, rc = servers.host(OWN_STORE, "",
      ("LUA_CPATH='%s/tests/support/?.so'"):format(servers.build))
    assert.equal("child\tfalse\tforked\nexit\t0\nparent\tsaves\t2\n", out)
    assert.equal(0, rc)
  end)

  it("the child's end does not switch off the parent's timers", function()
    local out, rc = servers.host(SLEEPS, "",
      ("LUA_CPATH='%s/tests/support/?.so' timeout 20")
        :format(servers.build))
    assert.equal("exit\t0\n", out)
    assert.equal(0, rc)
  end)

  it("a shared pool is the parent's", function()
    local out, rc = servers.host(SHARED, "",
      ("LUA_CPATH='%s/tests/support/?.so'"):format(servers.build))
    assert.equal("child\tforked forked no key forked\nexit\t0\nparent\t1\n", out)
    assert.equal(0, rc)
  end)

  it("the child is told, and the parent goes on undisturbed", function()
    local mock = servers.mock "--keys sk-mock-aaaaaaaaaaaaaaaa-1"
    local out, rc = servers.host(SCRIPT, mock.url,
      ("LUA_CPATH='%s/tests/support/?.so'"):format(servers.build))
    mock.stop()
    assert.equal("child\tforked forked forked\nexit\t0\nparent\t2\n", out)
    assert.equal(0, rc)
  end)
end)
