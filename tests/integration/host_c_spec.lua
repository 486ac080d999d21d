--- Hosts in C that are hard on the library: threads, a limit of memory, states that are
--- closed in the middle of things, a Lua that nobody else sees (tests/hosts/*.c).
---
--- KEYCYCLE_ROUNDS: how many states are closed in the middle of each thing.
local hosts = require "tests.support.hosts"
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local KEY = "sk-mock-aaaaaaaaaaaaaaaa-1"
local ROUNDS = tonumber(os.getenv "KEYCYCLE_ROUNDS")

-- What the mock counts for one call of the threads program.
local function tokens_of_a_call(url)
  local wrapper <close> = keycycle.MultiClientWrapper.new {}
  wrapper:register_provider("p", { base_url = url, keys = { KEY }, default_model = "m" })
  local response = wrapper:get_rotating_client "p".chat.completions:create {
    messages = { { role = "user", content = "one two three four" } } }
  return response.usage.total_tokens
end

for _, build in ipairs(hosts.builds) do
  local sanitized = build:find "asan" ~= nil

  describe("states in threads, in " .. build, function()
    local mock
    before_each(function() mock = servers.mock("--keys " .. KEY) end)
    after_each(function() mock.stop() end)

    local function threads(count, rounds)
      return hosts.figures(build, "threads %d %d tests/hosts/threads.lua %s %s", count, rounds,
        mock.url, KEY)
    end

    it("have one pool, whose totals are exact", function()
      local tokens = tokens_of_a_call(mock.url)
      local got, text = threads(8, 1)
      assert.same({ 32, 32, 32, 32 * tokens, 0, 0 }, { got.begun, got.ended, got.total_requests,
        got.total_tokens, got.in_flight, got.waiting }, text)
    end)

    it("may be closed whenever they like: the others have all their answers", function()
      local got, text = threads(4, 8)
      assert.same({ 4 * 4 * 4, 0, 0 }, { got.whole, got.in_flight, got.waiting }, text)
      assert.is_true(got.ended <= got.total_requests and got.total_requests <= got.begun, text)
    end)
  end)

  describe("a state with a limit of memory, in " .. build, function()
    it("runs out of it in every part, and goes on once there is some", function()
      local mock = servers.mock("--keys " .. KEY)
      local ok, got, text = pcall(hosts.figures, build, "limit %d tests/hosts/limit.lua %s %s",
        sanitized and 4096 or 2048, mock.url, KEY)
      mock.stop()
      assert(ok, got)
      for _, part in ipairs { "require", "wrapper", "call", "tasks" } do
        assert.is_true(got["short_in_" .. part] > 0, text)
      end
    end)
  end)

  describe("a process in which states come and go, in " .. build, function()
    local raw
    setup(function() raw = servers.raw() end)
    teardown(function() raw.stop() end)

    for what, page in pairs { call = "/never", stream = "/slow-events", key = "/never",
      name = "slow-name.test" } do
      it("holds nothing of those that were closed in the middle of a " .. what, function()
        local url = what == "name" and "http://" .. page or raw.url(page)
        local got, text = hosts.figures(build, "closing %d tests/hosts/closing.lua %s %s/v1",
          ROUNDS or sanitized and 24 or 48, what, url)
        assert.is_true(got.heap_grown < hosts.SLACK, text)
        assert.same({ 0, 1 }, { got.descriptors_grown, got.threads }, text)
        assert.equal(what == "name", got.look_ups > 0, text)
      end)
    end
  end)
end

describe("a host that opens Lua for itself alone #plain", function()
  local build = servers.build

  local function rtld_local(how)
    local mock = servers.mock("--keys " .. KEY)
    local out, rc = hosts.sh("LUA_CPATH='%s/?.so' timeout 60 %s/tests/hosts/rtld_local %s "
      .. "%s/libkeycycle.so tests/hosts/rtld_local.lua %s %s", build, build, how, build, mock.url,
      KEY)
    mock.stop()
    return out, rc
  end

  it("is told why the plain module cannot be loaded there", function()
    local out, rc = rtld_local "plain"
    assert.equal(1, rc, out)
    assert.truthy(out:find("keycycle.so: undefined symbol: lua", 1, true), out)
  end)

  for what, how in pairs { ["by the library that brings Lua"] = "library",
    ["once it shows its Lua to all"] = "global" } do
    it("calls and streams " .. what, function()
      assert.same({ "You said: hi\nYou said: hi\n", 0 }, { rtld_local(how) })
    end)
  end
end)
