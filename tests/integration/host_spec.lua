--- The program `keycycle`, and the module in other people's Lua.
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local here = assert(io.popen "pwd"):read "l"
local build = servers.path()
local host = build .. "/keycycle"

-- What a shell command prints (both streams), and its exit code.
local function sh(command, ...)
  local pipe = assert(io.popen("{ " .. command:format(...) .. "; } 2>&1; echo \"rc=$?\""))
  local out = pipe:read "a"
  pipe:close()
  local text, rc = out:match "^(.-)rc=(%d+)\n$"
  return text, tonumber(rc)
end

local function prints(want, rc, command, ...)
  local out, got = sh(command, ...)
  assert.equal(want, out)
  assert.equal(rc, got)
end

describe("keycycle", function()
  it("runs a file with its arguments", function()
    files.with("print(arg[0]:match '%w+$' ~= nil, #arg, arg[1], ...)", function(path)
      prints("true\t2\ta\ta\tb c\n", 0, "%s %s a 'b c'", host, path)
    end)
  end)

  it("runs code, then a file", function()
    files.with("print(x)", function(path)
      prints("5\n", 0, "%s -e 'x = 5' %s", host, path)
    end)
  end)

  it("has the module built in, and its own comes first", function()
    prints("true\n", 0,
      "cd / && LUA_CPATH= LUA_PATH= %s -e 'print(require \"keycycle\"._VERSION ~= nil)'", host)
    local folder, remove = files.folder()
    local f = assert(io.open(folder .. "/keycycle.lua", "w"))
    f:write "return 'another'"
    f:close()
    prints("table\n", 0, "LUA_PATH='%s/?.lua' %s -e 'print(type(require \"keycycle\"))'", folder,
      host)
    remove()
  end)

  it("ends with 1 when the script fails, and says where", function()
    files.with("error 'oops'", function(path)
      local out, rc = sh("%s %s", host, path)
      assert.equal(1, rc)
      assert.truthy(out:find("oops", 1, true) and out:find("traceback", 1, true), out)
    end)
    files.with("x =", function(path)
      local out, rc = sh("%s %s", host, path)
      assert.equal(1, rc)
      assert.truthy(out:find(":1:", 1, true), out)
    end)
    files.with("require 'keycycle'.MultiClientWrapper.from_env { nobody = {} }", function(path)
      local out, rc = sh("%s %s", host, path)
      assert.equal(1, rc)
      assert.truthy(out:find("InvalidConfigurationError: unknown provider", 1, true), out)
    end)
  end)

  it("ends with 2 when it is used badly", function()
    for command, word in pairs { [""] = "usage", ["--nobody"] = "--nobody", ["-e"] = "-e",
      ["nobody"] = "demo", ["/nowhere.lua"] = "/nowhere.lua" } do
      local out, rc = sh("%s %s", host, command)
      assert.equal(2, rc, command)
      assert.truthy(out:find(word, 1, true), out)
    end
  end)

  it("tells its version and helps", function()
    local out, rc = sh("%s --version", host)
    assert.equal(0, rc)
    assert.truthy(out:find("^keycycle %d+%.%d+%.%d+ %(Lua 5%.4"))
    out, rc = sh("%s --help", host)
    assert.equal(0, rc)
    assert.truthy(out:find("usage", 1, true))
    for _, name in ipairs { "agent", "batch", "chat", "check", "demo", "mock", "providers",
      "stats" } do
      assert.truthy(out:find("\n  " .. name .. " +%l[^\n]+%.\n"), out)
    end
  end)

  it("fails when what it printed went nowhere", function()
    assert.equal(1, select(2, sh("%s --help >/dev/full", host)))
    assert.equal(1, select(2, sh("%s -e 'print(1)' >/dev/full", host)))
  end)

  it("reads lines", function()
    local out, rc = sh("printf '%s' | %s -i",
      '1+1\\nx = 5\\nx\\nfor i = 1, 2 do\\nprint(i)\\nend\\nerror "e"\\n', host)
    assert.equal(0, rc)
    for _, word in ipairs { "2\n", "5\n", "1\n2\n", "e" } do
      assert.truthy(out:find(word, 1, true), out)
    end
  end)

  it("reads another .env file", function()
    files.with("KCTEST_API_KEY_1=sk-test-0123456789abcdefghij", function(path)
      prints("1\n", 0, "%s --env %s -e 'print(#require \"keycycle\".load_api_keys \"kctest\")'",
        host, path)
    end)
    local out, rc = sh("%s --env /nowhere -e 'require \"keycycle\".load_api_keys \"x\"'", host)
    assert.equal(1, rc)
    assert.truthy(out:find("/nowhere", 1, true))
  end)

  it("lets the real environment win over the file", function()
    files.with("KCTEST_API_KEY_1=sk-test-0123456789abcdefghij\n", function(path)
      prints("uvwxyz\n", 0, "KCTEST_API_KEY_1=sk-real-0123456789uvwxyz %s --env %s -e "
        .. "'print(require \"keycycle\".load_api_keys \"kctest\"[1].api_key:sub(-6))'", host, path)
    end)
  end)

  it("lets an empty variable switch off what the file says", function()
    files.with("TIDB_DB_URL=sqlite:/nowhere/usage.db\n", function(path)
      local code = "require \"keycycle\".MultiClientWrapper.new {} print \"no store\""
      prints("no store\n", 0, "TIDB_DB_URL= %s --env %s -e '%s'", host, path, code)
      local _, rc = sh("env -u TIDB_DB_URL %s --env %s -e '%s'", host, path, code)
      assert.equal(1, rc)
    end)
  end)

  it("finds scripts in its path, and in ./.keycycle when it is told to", function()
    local folder, remove = files.folder()
    assert(os.execute("mkdir -p " .. folder .. "/scripts " .. folder .. "/.keycycle/scripts"))
    for place, text in pairs { ["/scripts/hello.lua"] = "print('hello', ...)",
      ["/scripts/check.lua"] = "print 'shadowed'",
      ["/.keycycle/scripts/local.lua"] = "print 'local'" } do
      local f <close> = assert(io.open(folder .. place, "w"))
      f:write(text)
    end
    prints("hello\tx\n", 0, "KEYCYCLE_PATH=/nowhere:%s %s hello x", folder, host)
    local out = sh("KEYCYCLE_PATH=%s timeout 20 %s check", folder, host)
    assert.is_nil(out:find("shadowed", 1, true))
    assert.equal(2, select(2, sh("cd %s && %s local", folder, host)))
    prints("local\n", 0, "cd %s && %s --here local", folder, host)
    remove()
  end)

  it("reads its Lua from a folder for those who work on it", function()
    prints("true\n", 0, "cd / && %s --lua %s/lua -e "
      .. "'print(debug.getinfo(require \"keycycle\".try).source:find(\"%s\", 1, true) ~= nil)'",
      host, here, here)
  end)
end)

-- In the stock lua5.4, which a sanitized module cannot be loaded into.
describe("the module #plain", function()
  it("is one file that works from any folder", function()
    local folder, remove = files.folder()
    assert(os.execute(("cp %s/keycycle.so %s/"):format(build, folder)))
    prints("table\n", 0, "cd / && LUA_PATH= LUA_CPATH='%s/?.so' lua5.4 -e "
      .. "'print(type(require \"keycycle\".MultiClientWrapper))'", folder)
    remove()
  end)

  it("needs the four packages and no other", function()
    local out = sh("readelf -d %s/keycycle.so", build)
    for name in out:gmatch "NEEDED%)[^%[]*%[([^%]]+)%]" do
      assert.truthy(name:find "^libcurl" or name:find "^libcjson" or name:find "^libsqlite3"
        or name:find "^libc%.so" or name:find "^ld%-" or name:find "^libpthread", name)
    end
  end)

  it("starts nothing and opens nothing when it is required", function()
    files.with([[
      local f = io.open "/proc/self/stat"
      local pid = f:read "n"
      f:close()
      local function count(what)
        local n, pipe = 0, io.popen(("ls -l /proc/%d/%s"):format(pid, what))
        for line in pipe:lines() do
          if not line:find "pipe:" then n = n + 1 end -- but our own to ls
        end
        pipe:close()
        return n
      end
      local tasks, fds = count "task", count "fd"
      require "keycycle"
      print(count "task" - tasks, count "fd" - fds)
    ]], function(path)
      prints("0\t0\n", 0, "LUA_CPATH='%s/?.so' lua5.4 %s", build, path)
    end)
  end)
end)
