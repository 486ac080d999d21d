--- clingo, whose programs may hold Lua: calls while it grounds one.
local hosts = require "tests.support.hosts"
local servers = require "tests.support.servers"

local KEYS = "sk-mock-aaaaaaaaaaaaaaaa-1,sk-mock-bbbbbbbbbbbbbbbb-2"

local function clingo(base_url)
  return hosts.sh("BASE_URL=%s LUA_CPATH='%s/?.so' timeout 60 clingo 0 tests/hosts/choose.lp",
    base_url, servers.path())
end

describe("in clingo #plain", function()
  it("facts come from calls, one after the other and at once, and are counted", function()
    local mock = servers.mock("--keys " .. KEYS)
    local out, rc = clingo(mock.url)
    mock.stop()
    assert.equal(30, rc, out) -- its words for: all answers were found
    for i = 1, 5 do
      assert.truthy(out:find(('chosen("You said: word %d")'):format(i), 1, true), out)
    end
    for _, words in ipairs { "hello", "good morning" } do
      assert.truthy(out:find(('said("%s","You said: %s")'):format(words, words), 1, true), out)
    end
    assert.equal(5, select(2, out:gsub("requests%(7%)", "")), out)
  end)

  it("a refused call ends it with the reason, and no key", function()
    local mock = servers.mock "--keys sk-mock-cccccccccccccccc-3"
    local out, rc = clingo(mock.url)
    mock.stop()
    assert.equal(65, rc, out) -- an error
    assert.truthy(out:find("RuntimeError", 1, true), out)
    assert.truthy(out:find("InvalidKeyError", 1, true) or out:find("401", 1, true), out)
    for key in KEYS:gmatch "[^,]+" do assert.is_nil(out:find(key, 1, true)) end
  end)
end)
