--- Which folders of scripts are read, when, and in what order: by the program `keycycle`
--- and by the module in another's Lua.
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local build = servers.path()

local folder, remove
before_each(function() folder, remove = files.folder() end)
after_each(function() remove() end)

-- A provider's file whose header says which one it is.
local function mark(where, name)
  files.put(("%s/%s/providers/%s.lua"):format(folder, where, name or "marked"),
    ('return keycycle.provider { name = "%s", extends = "openai",\n'
      .. 'headers = { ["x-from"] = "%s" } }'):format(name or "marked", where))
end

-- What a command prints in the folder, with nothing of the user's around it.
local function sh(env, command)
  local pipe <close> = assert(io.popen(("cd %s && env -u KEYCYCLE_PATH -u XDG_CONFIG_HOME HOME=%s "
    .. "%s %s 2>&1; echo \"rc=$?\""):format(folder, folder, env, command)))
  local text, rc = pipe:read "a":match "^(.-)rc=(%d+)\n$"
  return text, tonumber(rc)
end

local WHO = [[
local keycycle = require "keycycle"
local known = function(name)
  local found = require "keycycle.provider".get(name or "marked")
  return found and found.headers["x-from"] or "none"
end
]]

local function host(env, options, code)
  files.put(folder .. "/main.lua", WHO .. (code or "print(known())"))
  return sh(env, ("%s/keycycle %s main.lua"):format(build, options))
end

local function prints(want, ...)
  local out, rc = host(...)
  assert.same({ want .. "\n", 0 }, { out, rc })
end

describe("keycycle reads scripts", function()
  it("from the folders of KEYCYCLE_PATH, the first one first", function()
    mark "a"
    mark "b"
    mark("b", "other")
    prints("a", "KEYCYCLE_PATH=/nowhere:a:b", "")
    prints("b", "KEYCYCLE_PATH=b:a", "")
    prints("a b", "KEYCYCLE_PATH=a/:b//", "", "print(known() .. ' ' .. known 'other')")
    prints("none", "KEYCYCLE_PATH=::", "")
  end)

  it("then from the user's own folder", function()
    mark "xdg/keycycle"
    mark ".config/keycycle"
    mark "a"
    prints(".config/keycycle", "", "")
    prints(".config/keycycle", "XDG_CONFIG_HOME=", "")
    prints("xdg/keycycle", "XDG_CONFIG_HOME=$PWD/xdg", "")
    prints("none", "XDG_CONFIG_HOME=/nowhere", "")
    -- What is below the current folder is anybody's.
    prints(".config/keycycle", "XDG_CONFIG_HOME=xdg", "")
    prints("none", "XDG_CONFIG_HOME= HOME=.", "")
    prints("a", "KEYCYCLE_PATH=a", "")
  end)

  it("from ./.keycycle where it is told to trust it, last of all", function()
    mark ".keycycle"
    mark "a"
    prints("none", "", "")
    prints(".keycycle", "", "--here")
    prints("a", "KEYCYCLE_PATH=a", "--here")
    prints("none", "", "", "keycycle.MultiClientWrapper.new() print(known())")
    prints(".keycycle", "", "", "keycycle.load '.keycycle' print(known())")
  end)

  it("that replace built-in ones of their name", function()
    files.put(folder .. "/a/providers/groq.lua", 'return keycycle.provider { name = "groq",\n'
      .. 'extends = "groq", headers = { ["x-from"] = "a" } }')
    files.put(folder .. "/a/policies/fail_fast.lua", [[
      return keycycle.policy { name = "fail_fast", decide = function() return "rotate" end }]])
    prints("a rotate", "KEYCYCLE_PATH=a", "", "print(known 'groq' .. ' ' .. "
      .. "require 'keycycle.policy'.lookup 'fail_fast'.decide {})")
  end)

  it("and those first that the program names", function()
    for _, name in ipairs { "a", "b", "c" } do mark(name) end
    prints("b", "KEYCYCLE_PATH=a", "", "keycycle.load 'b' keycycle.reload() print(known())")
    prints("c", "KEYCYCLE_PATH=a", "",
      "keycycle.MultiClientWrapper.new { scripts = { 'c', 'b' } } print(known())")
    prints("b", "KEYCYCLE_PATH=a", "",
      "keycycle.MultiClientWrapper.new { scripts = 'b' } print(known())")
  end)

  it("or says which file is faulty and where, and ends", function()
    files.put(folder .. "/a/providers/bad.lua", "return keycycle.provider {\n  name = = 5\n}")
    local out, rc = host("KEYCYCLE_PATH=a", "", "print 'not reached'")
    assert.equal(1, rc)
    assert.equal("keycycle: ScriptError: a/providers/bad.lua:2: unexpected symbol near '=' "
      .. "(script)\n", out)
    out, rc = sh("KEYCYCLE_PATH=a", build .. "/keycycle providers")
    assert.equal(1, rc)
    assert.truthy(out:find("a/providers/bad.lua:2:", 1, true), out)
    assert.is_nil(out:find("traceback", 1, true))
  end)

  it("of which there may be too many, which ends what named them", function()
    assert(os.execute(("mkdir -p %s/.config/keycycle/limits && cd %s/.config/keycycle/limits "
      .. "&& seq -f '%%g.lua' 1001 | xargs touch"):format(folder, folder)))
    local why = ".config/keycycle/limits: it cannot be read: it holds more than 1000"
    local out, rc = host("KEYCYCLE_PATH=.config/keycycle HOME=", "")
    assert.equal(1, rc)
    assert.truthy(out:find(why, 1, true), out)
    out, rc = host("", "")
    assert.equal(0, rc) -- nobody has named the folder in the home
    assert.truthy(out:find("is left out", 1, true), out)
  end)
end)

describe("what a program did wrong", function()
  it("is told with the place in it and its own calls, without those of the library", function()
    local out, rc = host("", "", "\n\nlocal function f() keycycle.load 'nowhere' end\nf()")
    assert.equal(1, rc)
    assert.equal("keycycle: main.lua:8: ScriptError: nowhere: it cannot be read: "
      .. "No such file or directory (script)\nstack traceback:\n\tmain.lua:8: in local 'f'\n"
      .. "\tmain.lua:9: in main chunk\n", out)
  end)

  it("is told with a traceback whatever was raised", function()
    local out = host("", "", "error 'oops'")
    assert.truthy(out:find("main.lua:6: oops\nstack traceback:", 1, true), out)
    out = host("", "", "error(setmetatable({}, { __tostring = function() return 'own' end }))")
    assert.truthy(out:find("^keycycle: main.lua:6: own\nstack traceback:\n"), out)
    out = host("", "", "error {}")
    assert.truthy(out:find("a table value)\nstack traceback:", 1, true), out)
  end)
end)

-- In the stock lua5.4, which a sanitized module cannot be loaded into.
describe("the module #plain", function()
  local function module(env, code)
    files.put(folder .. "/main.lua", WHO .. code)
    return (sh(("%s LUA_PATH= LUA_CPATH='%s/?.so'"):format(env, build), "lua5.4 main.lua"))
  end

  it("reads none when it is required, but when the first wrapper is made", function()
    mark "a"
    files.put(folder .. "/bad/limits/bad.lua", "return {")
    assert.equal("none\na\n", module("KEYCYCLE_PATH=a",
      "print(known()) keycycle.MultiClientWrapper.new() print(known())"))
    assert.equal("none\nfalse\tScriptError\tbad/limits/bad.lua\t1\nfalse\nnone\n",
      module("KEYCYCLE_PATH=bad:a", [[
        print(known())
        local ok, err = pcall(keycycle.MultiClientWrapper.new)
        print(ok, err.class, err.file, err.line)
        print((pcall(keycycle.MultiClientWrapper.from_env, {})))
        print(known())]]))
  end)

  it("reads none at all where the program says so, and the present folder never", function()
    mark "a"
    mark ".keycycle"
    assert.equal("none\na\n", module("KEYCYCLE_PATH=a", "keycycle.MultiClientWrapper.new "
      .. "{ scripts = false } print(known()) keycycle.MultiClientWrapper.new() print(known())"))
    assert.equal("none\n", module("", "keycycle.MultiClientWrapper.new() print(known())"))
  end)

  it("puts what was loaded before the first wrapper before the search path", function()
    mark "a"
    mark "b"
    assert.equal("b\nb\n", module("KEYCYCLE_PATH=a",
      "keycycle.load 'b' print(known()) keycycle.MultiClientWrapper.new() print(known())"))
  end)
end)
