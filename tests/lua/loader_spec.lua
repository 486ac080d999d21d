local files = require "tests.support.files"
local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"
local scripts = require "keycycle.loader.scripts"

local KEY = "sk-test-0123456789abcdefghij"

-- A folder with these scripts, by path in it; `write` changes one.
local function folder_of(texts)
  local folder, remove = files.scripts(texts)
  return { path = folder, remove = remove,
    write = function(name, text) files.put(folder .. "/" .. name, text) end }
end

local ACME = [[
return keycycle.provider {
  name = "acme",
  extends = "openai_compatible",
  base_url = "https://api.acme.test/v1",
}]]

describe("a folder of scripts", function()
  local made = {}
  local function folder(texts)
    made[#made + 1] = folder_of(texts)
    return made[#made]
  end
  after_each(function()
    for _, one in ipairs(made) do
      os.execute("rm -rf " .. one.path .. "/*")
      pcall(keycycle.load, one.path)
      one.remove()
    end
    made = {}
    pcall(keycycle.reload)
  end)

  local function fault(word, texts)
    local err = raises(keycycle.ScriptError, word, keycycle.load, folder(texts).path)
    assert.truthy(err.message:find("%.lua"), err.message)
    return err
  end

  it("adds providers, policies and limits", function()
    keycycle.load(folder {
      ["providers/acme.lua"] = ACME,
      ["policies/stubborn.lua"] = 'return keycycle.policy { name = "stubborn",\n'
        .. 'decide = function(failure) return "retry", failure.attempt end }',
      ["limits/acme.lua"] = 'return { default = { requests_per_minute = 7 }, date = "2026-11-26" }',
    }.path)
    assert.equal("https://api.acme.test/v1", provider.get("acme").base_url)
    assert.truthy(scripts.source("provider", "acme"):find("acme.lua", 1, true))
    assert.same({ "retry", 3 }, { scripts.get("policy", "stubborn").decide { attempt = 3 } })
    local wrapper <close> = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("acme", { keys = { KEY } })
    local line = wrapper:get_manager("acme"):explain("m")[1]
    assert.equal(7, line.limits.requests_per_minute)
  end)

  it("may change a built-in provider, which it extends by its own name", function()
    keycycle.load(folder { ["providers/openai.lua"] = 'return keycycle.provider {\n'
      .. 'name = "openai", extends = "openai", headers = { ["x-team"] = "blue" } }' }.path)
    assert.equal("blue", provider.get("openai").headers["x-team"])
    assert.equal("https://api.openai.com/v1", provider.get("openai").base_url)
  end)

  it("may extend what a later file defines, but not itself through others", function()
    keycycle.load(folder {
      ["providers/a.lua"] = 'return keycycle.provider { name = "a", extends = "b" }',
      ["providers/b.lua"] = 'return keycycle.provider { name = "b", extends = "groq",\n'
        .. 'base_url = "https://b.test" }',
    }.path)
    assert.equal("https://b.test", provider.get("a").base_url)
    fault("extends itself", {
      ["providers/a.lua"] = 'return keycycle.provider { name = "a", extends = "b" }',
      ["providers/b.lua"] = 'return keycycle.provider { name = "b", extends = "a" }',
    })
  end)

  it("comes before those that were loaded earlier", function()
    local first = folder { ["providers/acme.lua"] = ACME }
    local second = folder { ["providers/acme.lua"] = ACME:gsub("/v1", "/v2") }
    keycycle.load(first.path)
    keycycle.load(second.path)
    assert.equal("https://api.acme.test/v2", provider.get("acme").base_url)
  end)

  it("is refused with file and line, and nothing changes", function()
    keycycle.load(folder { ["providers/acme.lua"] = ACME }.path)
    local err = fault("acme.lua:3", { ["providers/acme.lua"] = "return {\n\n x = = 1\n}" })
    assert.equal(3, err.line)
    assert.equal(2, fault("baseurl", { ["providers/b.lua"] =
      'return keycycle.provider { name = "b",\n baseurl = "https://b.test" }' }).line)
    local helper = "local function f()\n return 1\nend\nreturn keycycle.provider {\n"
    assert.equal(4, fault("name is missing", { ["providers/b.lua"] = helper .. "}" }).line)
    assert.equal(5, fault("rule 1", { ["providers/b.lua"] = helper
      .. ' classify = { { status = 429, kind = "qota" } }, name = "b",\n}' }).line)
    assert.equal(2, fault("boom", { ["providers/b.lua"] = "local x = 1\nerror 'boom'" }).line)
    fault("keycycle.provider", { ["providers/b.lua"] = "return 5" })
    fault("keycycle.provider", { ["providers/b.lua"] = "return keycycle.policy {}" })
    fault("decide", { ["policies/b.lua"] = 'return keycycle.policy { name = "b" }' })
    fault("requests_per_minit", { ["limits/b.lua"] =
      "return { default = { requests_per_minit = 5 } }" })
    fault("nobody", { ["providers/b.lua"] =
      'return keycycle.provider { name = "b", extends = "nobody" }' })
    assert.equal("https://api.acme.test/v1", provider.get("acme").base_url)
    assert.is_nil(provider.get "b")
  end)

  it("must be there, and holds plain files", function()
    raises(keycycle.ScriptError, "/no/such", keycycle.load, "/no/such")
    raises(keycycle.InvalidConfigurationError, "name of a folder", keycycle.load)
    local one = folder { ["providers/acme.lua"] = ACME, ["providers/notes.txt"] = "x = = 1" }
    os.execute("mkfifo " .. one.path .. "/providers/pipe.lua")
    keycycle.load(one.path)
    assert.truthy(provider.get "acme")
  end)

  it("is loaded again where it has changed, and counters are kept", function()
    local one = folder { ["providers/acme.lua"] = ACME,
      ["limits/acme.lua"] = "return { default = { requests_per_minute = 2 } }" }
    keycycle.load(one.path)
    local wrapper <close> = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("acme", { keys = { KEY } })
    local manager = wrapper:get_manager "acme"
    for _ = 1, 2 do manager:get_key("m"):commit(5) end
    assert.is_nil(manager:get_key "m")
    one.write("limits/acme.lua", "return { default = { requests_per_minute = 3 } }")
    keycycle.reload()
    manager:get_key("m"):commit(5)
    local lease, why = manager:get_key "m"
    assert.is_nil(lease)
    assert.equal("limited", why.code)
    assert.equal(3, manager:get_global_stats().total.total_requests)
    one.write("limits/acme.lua", "return { default = { requests_per_minute = } }")
    raises(keycycle.ScriptError, "acme.lua:1", keycycle.reload)
    assert.equal(3, manager:explain("m")[1].limits.requests_per_minute)
  end)
end)
