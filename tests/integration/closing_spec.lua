--- A Lua state that is closed in the middle of something: no crash, no leak
--- (the sanitized host is asked too), and the process ends at once.
local servers = require "tests.support.servers"

local hosts = { servers.build .. "/keycycle" }
local sanitized = io.open(servers.build .. "/asan/keycycle")
if sanitized then
  sanitized:close()
  hosts[#hosts + 1] = servers.build .. "/asan/keycycle"
end

local PRELUDE = [[
  local keycycle = require "keycycle"
  local wrapper = keycycle.MultiClientWrapper.new { db_url = arg[2] }
  wrapper:register_provider("p", { base_url = arg[1], allow_insecure = true,
    keys = { "sk-test-0123456789abcdefghij" }, default_model = "m" })
  local client = wrapper:get_rotating_client("p", { max_retries = 0 })
  local request = { messages = { { role = "user", content = "hi" } } }
  local function say(text) io.write(text, "\n") io.flush() end
]]

local bodies = {
  ["a call"] = { "/never", [[
    keycycle.spawn(function() client.chat.completions:create(request) end)
    keycycle.step(0.02) keycycle.step(0.02) keycycle.step(0.02)
    say "closing" os.exit(0, true)]] },
  ["a stream"] = { "/flood", [[
    request.stream = true
    keycycle.spawn(function()
      local stream = client.chat.completions:create(request)
      stream() stream()
      say "closing" os.exit(0, true)
    end)
    while true do keycycle.step(1) end]] },
  ["a stream that is kept in a global"] = { "/flood", [[
    request.stream = true
    kept = client.chat.completions:create(request)
    kept()
    say "closing" os.exit(0, true)]] },
  ["a wait for a key"] = { "/never", [[
    wrapper:register_provider("p", { base_url = arg[1], default_model = "m",
      keys = { "sk-test-0123456789abcdefghij" },
      limits = { requests_per_minute = 1 } })
    kept = wrapper:get_manager("p"):get_key("m")
    keycycle.spawn(function() client.chat.completions:create(request, { timeout = 100 }) end)
    keycycle.step(0)
    say "closing" os.exit(0, true)]] },
}

local function run(host, body, url, more)
  local script = os.tmpname()
  local f <close> = assert(io.open(script, "w"))
  f:write(PRELUDE, body)
  f:close()
  local pipe = assert(io.popen(("timeout 20 %s %s %s %s 2>&1; echo rc=$?")
    :format(host, script, url, more or "")))
  local out = pipe:read "a"
  pipe:close()
  os.remove(script)
  return out
end

describe("closing a Lua state in the middle of", function()
  local raw
  setup(function() raw = servers.raw() end)
  teardown(function() raw.stop() end)

  for _, host in ipairs(hosts) do
    for what, case in pairs(bodies) do
      it(what .. " ends cleanly in " .. host, function()
        local out = run(host, case[2], raw.url(case[1]) .. "/v1")
        assert.equal("closing\nrc=0\n", out)
      end)
    end

    -- What was sent, or may have been, stays counted: the file says so.
    for _, what in ipairs { "a call", "a stream" } do
      it(what .. " settles its lease in " .. host, function()
        local path = os.tmpname()
        local url = "sqlite:" .. path
        assert.equal("closing\nrc=0\n",
          run(host, bodies[what][2], raw.url(bodies[what][1]) .. "/v1", url))
        local out = run(host, [[
          local total = wrapper:get_manager "p":get_global_stats().total
          print(total.total_requests, total.total_tokens > 0, total.in_flight)
          wrapper:stop()]], raw.url "/ok" .. "/v1", url)
        for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
        assert.equal("1\ttrue\t0\nrc=0\n", out)
      end)
    end

    it("nothing, by os.exit alone, keeps what was counted just before in " .. host, function()
      local path = os.tmpname()
      local url = "sqlite:" .. path
      local out = run(host, [[
        for _ = 1, 50 do wrapper:get_manager "p":get_key "m":commit(7) end
        os.exit(3)]], raw.url "/ok" .. "/v1", url)
      out = out .. run(host, [[
        local total = wrapper:get_manager "p":get_global_stats().total
        print(total.total_requests, total.total_tokens)
        wrapper:stop()]], raw.url "/ok" .. "/v1", url)
      for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
      assert.equal("rc=3\n50\t350\nrc=0\n", out)
    end)

    it("a name look-up ends cleanly in " .. host, function()
      local preload = servers.build .. "/tests/support/slow_resolver.so"
      local out = run("env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" .. preload .. " "
        .. host, bodies["a call"][2], "http://slow-name.test/v1")
      assert.equal("closing\nrc=0\n", out)
    end)
  end
end)

-- Stock Lua, too, which cannot load a sanitized module.
describe("keycycle.close", function()
  local raw
  setup(function() raw = servers.raw() end)
  teardown(function() raw.stop() end)

  local function closes(host)
    local out = run(host, [[
      local waits = keycycle.spawn(function()
        client.chat.completions:create(request)
      end)
      keycycle.step(0.02) keycycle.step(0.02)
      keycycle.close()
      say(waits:status())
      say(select(2, pcall(client.chat.completions.create, client.chat.completions, request)).code)
      local again = require "keycycle"
      say(tostring(again ~= keycycle))
      say(again.run(function() again.sleep(0) return "anew" end))
      again.close()]], raw.url "/never" .. "/v1")
    assert.equal("cancelled\nclosed\ntrue\nanew\nrc=0\n", out)
  end

  for _, host in ipairs(hosts) do
    it("ends all, and what is required next begins anew, in " .. host, function()
      closes(host)
    end)
  end

  it("does so in stock Lua #plain", function()
    closes(("env LUA_CPATH='%s/?.so' lua5.4"):format(servers.build))
  end)
end)
