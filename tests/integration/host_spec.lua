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

  it("collects garbage as the program lua does", function()
    files.with("print((collectgarbage 'generational'))", function(path)
      local stock = sh("lua5.4 %s", path)
      prints(stock, 0, "%s %s", host, path)
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

  it("takes options in all forms, and what follows --", function()
    prints("1\n2\n", 0, "%s -e 'x = 1 print(x)' -e'print(x + 1)'", host)
    prints("1\t-e\t0\n", 0, "echo 'print(#arg, arg[1], arg[0] == \"-\" and 0)' | %s - -e", host)
    files.with("#!/usr/bin/env keycycle\nprint(arg[0], arg[-1], arg[-3] ~= nil, ...)",
      function(path)
        prints(path .. "\t--\ttrue\t-v\n", 0, "%s -e '' -- %s -v", host, path)
      end)
    files.with("KCTEST_API_KEY_1=sk-test-0123456789abcdefghij", function(path)
      prints("1\n", 0, "%s --env=%s -e 'print(#require \"keycycle\".load_api_keys \"kctest\")'",
        host, path)
    end)
    prints("1\n", 0, "bash -c '%s --env <(echo KCTEST_API_KEY_1=sk-test-0123456789abcdefghij) -e "
      .. "\"print(#require(\\\"keycycle\\\").load_api_keys(\\\"kctest\\\"))\"'", host)
    prints("a\n", 0, "%s -e 'print(\"a\") error(\"b\", 0)' -e 'print \"c\"' 2>/dev/null || true",
      host)
  end)

  it("ends with the number that a script returns", function()
    for code, want in pairs { ["return 7"] = 7, ["return"] = 0, ["return {}"] = 0,
      ["return 256"] = 1, ["return -1"] = 1, ["os.exit(9)"] = 9, ["os.exit(false, true)"] = 1 } do
      files.with(code, function(path) prints("", want, "%s %s", host, path) end)
    end
  end)

  it("names what a misspelt word may be", function()
    for command, word in pairs { chta = "near it: chat\n", prov = "near it: providers\n",
      moc = "near it: mock\n", ["--verison"] = "is --version meant?", ["help stas"] = "stats\n",
      zzz = "(commands: agent batch chat check demo mock providers stats)" } do
      local out, rc = sh("%s %s", host, command)
      assert.equal(2, rc, out)
      assert.truthy(out:find(word, 1, true), out)
      assert.is_nil(out:find("traceback", 1, true), out)
    end
  end)

  it("says what is wrong with a library of one's own", function()
    for dir, word in pairs { ["/nowhere"] = "/nowhere", [here .. "/scripts"] = "init.lua" } do
      local out, rc = sh("%s --lua %s -e ''", host, dir)
      assert.equal(1, rc)
      assert.truthy(out:find("holds no library", 1, true) and out:find(word, 1, true), out)
    end
    assert.equal(1, select(2, sh("%s --env / -e ''", host)))
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
    for _, command in ipairs { "--help", "-e 'print(1)'", "-e 'print(1) os.exit(0)'",
      "mock --help" } do
      local out, rc = sh("%s %s 2>&1 >/dev/full", host, command)
      assert.same({ "keycycle: not all of the output could be written\n", 1 }, { out, rc })
    end
    prints("", 5, "%s -e 'os.exit(5)' >/dev/full", host)
  end)

  it("works without standard input, output and error", function()
    for _, command in ipairs { "--help", "-e 'print(io.read(), io.write \"x\", 5)'", "-i",
      "providers" } do
      prints("", 0, "%s %s <&- >&- 2>&-", host, command)
    end
    -- What is opened then is not what is printed to.
    local folder, remove = files.folder()
    prints("", 0, "cd %s && %s -e 'f = io.open(\"file\", \"w\") print \"text\"' >&- && cat file",
      folder, host)
    remove()
  end)

  it("ends quietly where nobody reads on", function()
    -- LuaSocket has its process ignore SIGPIPE, which programs inherit.
    local bash = "env --default-signal=PIPE bash -c "
    prints("1\n141\n", 0, bash .. "'%s -e \"while true do print(1) end\" | head -n 1; "
      .. "echo ${PIPESTATUS[0]}'", host)
    -- As what systemd starts.
    prints("1\n141\n", 0, "bash -c 'trap \"\" PIPE; timeout 60 %s -e "
      .. "\"while true do print(1) end\" | head -n 1; echo ${PIPESTATUS[0]}'", host)
    local folder, remove = files.folder()
    files.put(folder .. "/script.lua", [[
      local keycycle = require "keycycle"
      local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = "sqlite:usage.db" }
      wrapper:register_provider("openai", { keys = { "sk-0123456789abcdef0123" } })
      wrapper:get_manager "openai":get_key("m"):commit(5)
      while true do print(1) end]])
    prints("1\n141\n", 0, "cd %s && " .. bash .. "'%s script.lua | head -n 1; "
      .. "echo ${PIPESTATUS[0]}'", folder, host)
    local out = sh("cd %s && %s stats --db sqlite:usage.db --json", folder, host)
    assert.truthy(out:find('"total_tokens":5', 1, true), out)
    remove()
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
    sh("cd %s && mkdir .config && cp -r .keycycle .config/keycycle", folder)
    prints("local\n", 0, "cd %s && HOME=$PWD XDG_CONFIG_HOME=.config %s local", folder, host)
    assert.equal(2, select(2, sh("cd %s && HOME=. XDG_CONFIG_HOME=.config %s local", folder, host)))
    remove()
  end)

  it("lists commands of one's own, and passes them --help", function()
    local folder, remove = files.scripts {
      ["scripts/hello.lua"] = "--- keycycle hello: greets.\nprint('hello', ...)",
      ["scripts/plain.lua"] = "-- Does \27[31mt\194\155his.\r\nprint 'plain'",
      ["scripts/mute.lua"] = "print 1",
      ["scripts/ready.lua"] = "#!/usr/bin/env keycycle\n-- keycycle ready: may be run.\n",
      ["scripts/chat.lua"] = "-- never\n",
      ["scripts/od\27d.lua"] = "-- odd\n", ["more/scripts/hello.lua"] = "-- another\n",
      [".keycycle/scripts/near.lua"] = "-- close by\n" }
    local out = sh("cd %s && KEYCYCLE_PATH=%s:%s/more %s --help", folder, folder, folder, host)
    assert.truthy(out:find("\ncommands of your own:\n  hello      greets.\n  mute\n"
      .. "  plain      Does \\27[31mt\\u{9B}his.\n  ready      may be run.\nkeycycle COMMAND",
      1, true), out)
    out = sh("cd %s && KEYCYCLE_PATH=%s %s --here --help", folder, folder, host)
    assert.truthy(out:find("\n  near       close by\n", 1, true), out)
    for _, command in ipairs { "hello --help", "help hello" } do
      prints("hello\t--help\n", 0, "KEYCYCLE_PATH=%s %s %s", folder, host, command)
    end
    out = sh("KEYCYCLE_PATH=%s %s hallo", folder, host)
    assert.truthy(out:find("near it: hello\n", 1, true), out)
    remove()
  end)

  it("takes files alone for commands", function()
    local folder, remove = files.scripts { ["more/scripts/second.lua"] = "print 'second'",
      ["scripts/broken.lua"] = "x = =",
      ["scripts/compiled.lua"] = string.dump(function(...) print("compiled", ...) end) }
    sh("cd %s/scripts && mkdir second.lua && mkfifo pipe && ln -s pipe piped.lua && mkfifo p.lua "
      .. "&& ln -s nowhere lost.lua", folder)
    local path = ("KEYCYCLE_PATH=:%s::%s/more: timeout 60"):format(folder, folder)
    local out = sh("%s %s --help", path, host)
    assert.truthy(out:find("of your own:\n  broken\n  compiled\n  second\nkeycycle", 1, true), out)
    prints("second\n", 0, "%s %s second", path, host)
    prints("compiled\tx\n", 0, "%s %s compiled x", path, host)
    for _, name in ipairs { "piped", "p", "lost" } do
      out = sh("%s %s %s", path, host, name)
      assert.truthy(out:find("^keycycle: no file and no command " .. name), out)
    end
    local rc
    out, rc = sh("%s %s broken", path, host)
    assert.equal(1, rc)
    assert.truthy(out:find("/scripts/broken.lua:1: unexpected symbol", 1, true), out)
    remove()
  end)

  it("reads its Lua from a folder for those who work on it", function()
    prints("true\n", 0, "cd / && %s --lua %s/lua -e "
      .. "'print(debug.getinfo(require \"keycycle\".try).source:find(\"%s\", 1, true) ~= nil)'",
      host, here, here)
  end)
end)

-- What a script's failure prints.
local function failure(code, env)
  local folder, remove = files.scripts { ["script.lua"] = code }
  local out, rc = sh("cd %s && %s %s script.lua", folder, env or "", host)
  remove()
  assert.equal(1, rc, out)
  return out
end

describe("The error of a script", function()
  it("has the way to it through the script alone", function()
    local out = failure [[
      local keycycle = require "keycycle"
      local function inner() local keys = keycycle.load_api_keys "nobody" return keys end
      local function outer()
        local keys = inner()
        return keys
      end
      local keys = outer()]]
    assert.truthy(out:find "^keycycle: script.lua:2: MissingEnvironmentVariableError: [^\n]+\n"
      and out:find("\nstack traceback:\n\tscript.lua:2: in upvalue 'inner'\n"
      .. "\tscript.lua:4: in local 'outer'\n\tscript.lua:7: in main chunk\n$"), out)
    assert.equal("keycycle: script.lua:1: oops\nstack traceback:\n\t[C]: in function 'error'\n"
      .. "\tscript.lua:1: in main chunk\n", failure "error 'oops'")
    assert.equal("keycycle: script.lua:1: (the error is a nil value)\n",
      (failure("error()"):gsub("stack.*", "")))
  end)

  it("has the way through the tasks that it came from", function()
    local out = failure [[
      local keycycle = require "keycycle"
      local function work()
        keycycle.sleep(0)
        error "oops"
      end
      keycycle.run(function()
        keycycle.spawn(work):await()
      end)]]
    assert.truthy(out:find "^keycycle: script.lua:4: oops\nstack traceback:\n", out)
    assert.truthy(out:find("\tscript.lua:4: in function <script.lua:2>", 1, true), out)
    assert.truthy(out:find("raised again in:\n\tscript.lua:7: in function <script.lua:6>", 1, true),
      out)
    assert.is_nil(out:find("\tkeycycle/", 1, true), out)
  end)

  it("has one line where that says it all", function()
    assert.equal(1, select(2, failure("require 'keycycle'.load_api_keys 'nobody'")
      :gsub("\n", "\n")))
  end)

  it("does not leave out a folder that is called as the library", function()
    local folder, remove = files.scripts {
      ["keycycle/mine.lua"] = "local function f() error 'o' end\nf()" }
    local out = sh("cd %s && %s keycycle/mine.lua", folder, host)
    remove()
    assert.truthy(out:find("\tkeycycle/mine.lua:2: in main chunk", 1, true), out)
  end)

  it("tells errors of any length", function()
    local out, rc = sh("%s -e 'error((\"x\"):rep(1e6), 0)'", host)
    assert.equal(1, rc)
    assert.truthy(out:find("^keycycle: x+\n") and #out > 1e6)
  end)

  it("gives a terminal no orders", function()
    assert.truthy(failure("error('a\\27[31mb\\7\\u{9b}c\\tä\\nd', 0)")
      :find("keycycle: a\\27[31mb\\7\\u{9B}c\tä\nd\n", 1, true))
  end)

  it("shows no key", function()
    local key = "sk-0123456789abcdefghijkl"
    for _, out in ipairs { failure("error('with " .. key .. "')", "OPENAI_API_KEY_1=" .. key),
      failure("local keycycle = require 'keycycle'\n"
        .. "local wrapper <close> = keycycle.MultiClientWrapper.new()\n"
        .. "wrapper:register_provider('openai', { keys = { '" .. key .. "' } })\n"
        .. "error('with ' .. wrapper:get_manager 'openai':get_key('m').api_key)") } do
      assert.is_nil(out:find("0123456789", 1, true), out)
      assert.truthy(out:find("with ***", 1, true), out)
    end
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
