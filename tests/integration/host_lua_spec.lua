--- The module in the stock lua5.4: what people do with a module there.
local files = require "tests.support.files"
local hosts = require "tests.support.hosts"
local servers = require "tests.support.servers"

local KEY = "sk-mock-aaaaaaaaaaaaaaaa-1"

local PRELUDE = [[
  local URL, KEY = ...
  local function ask(keycycle, words)
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", { base_url = URL, keys = { KEY }, default_model = "m" })
    local client = wrapper:get_rotating_client "p"
    local response = client.chat.completions:create {
      messages = { { role = "user", content = words } } }
    return response.choices[1].message.content
  end
  local function forget()
    for name in pairs(package.loaded) do
      if name:find "^keycycle" then package.loaded[name] = nil end
    end
  end
]]

describe("the module in lua5.4 #plain", function()
  local mock
  setup(function() mock = servers.mock("--chunk-delay 1 --keys " .. KEY) end)
  teardown(function() mock.stop() end)

  local function prints(want, code, options)
    local out, rc = files.with(PRELUDE .. code, function(path)
      return hosts.sh("LUA_PATH= LUA_CPATH='%s/?.so' timeout 60 lua5.4 -W %s %s %s %s",
        servers.path(), options or "", path, mock.url, KEY)
    end)
    assert.same({ want, 0 }, { out, rc })
  end

  it("is one and the same for all who require it", function()
    prints("true\ttrue\n", [[
      local keycycle, where = require "keycycle"
      local found = package.searchpath("keycycle", package.cpath)
      print(keycycle == require "keycycle", where == found)]])
  end)

  it("is required by -l, and sets no global of its own", function()
    prints("true\tYou said: hi\n", [[
      local module = keycycle -- the interpreter's -l sets it
      keycycle = nil
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local said = ask(module, "hi")
      for name in pairs(_G) do assert(before[name], name) end
      print(module == require "keycycle", said)]], "-l keycycle")
  end)

  it("calls without a warning, and in a state that is closed at its end", function()
    prints("You said: hi\n", [[
      print(ask(require "keycycle", "hi"))
      kept = require "keycycle".MultiClientWrapper.new {}
      os.exit(true, true)]])
  end)

  it("may be forgotten and required again: both names work, on one loop", function()
    prints("You said: first\tYou said: second\n2\nYou said: 1\tYou said: 2\n", [[
      local first = require "keycycle"
      forget()
      local second = require "keycycle"
      print(ask(first, "first"), ask(second, "second"))
      local one = first.spawn(ask, first, "1")
      local two = second.spawn(ask, second, "2")
      print(first.step(0))
      print((one:await()), (two:await()))]])
  end)

  it("may be forgotten over and over, and leaves nothing behind", function()
    prints("true\n", [[
      local function kib()
        for _ = 1, 3 do
          require "keycycle".spawn(function() end)
          forget()
          collectgarbage()
        end
        collectgarbage()
        return collectgarbage "count"
      end
      kib()
      local before = kib()
      print(kib() - before < 16)]])
  end)

  it("shares a pool by name between its copies", function()
    prints("1\n", [[
      local function manager(keycycle)
        kept = { kept, keycycle.MultiClientWrapper.new { shared = "pool" } }
        kept[2]:register_provider("p", { base_url = URL, keys = { KEY }, default_model = "m" })
        return kept[2]:get_manager "p"
      end
      local first = manager(require "keycycle")
      forget()
      local second = manager(require "keycycle")
      first:get_key():commit(1)
      print(second:get_global_stats().total.total_requests)]])
  end)

  for name, body in pairs {
    ["a task's error"] = [[keycycle.run(function() error "oops" end)]],
    ["an error in the middle of a stream"] = [[
      local wrapper = keycycle.MultiClientWrapper.new {}
      wrapper:register_provider("p", { base_url = URL, keys = { KEY }, default_model = "m" })
      local client = wrapper:get_rotating_client "p"
      keycycle.run(function()
        for chunk in client.chat.completions:create { stream = true,
          messages = { { role = "user", content = "one two three four five" } } } do
          if chunk then error "oops" end
        end
      end)]],
  } do
    it(name .. " ends the script with 1 and its place", function()
      local out, rc = files.with(PRELUDE .. "local keycycle = require 'keycycle'\n" .. body,
        function(path)
          return hosts.sh("LUA_CPATH='%s/?.so' timeout 60 lua5.4 %s %s %s", servers.path(), path,
            mock.url, KEY)
        end)
      assert.equal(1, rc, out)
      assert.truthy(out:find ":%d+: oops\n", out)
    end)
  end
end)
