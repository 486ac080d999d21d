--- keycycle -i: the prompt, on a terminal with either library and without, and on a pipe.
local files = require "tests.support.files"
local proc = require "tests.support.proc"
local servers = require "tests.support.servers"
local terminal = require "tests.support.terminal"

local host = servers.path() .. "/keycycle"
local LIBRARIES = { "libedit.so.2", "libreadline.so.8" }

local folder, remove
before_each(function() folder, remove = files.folder() end)
after_each(function() remove() end)

local function installed(name)
  return os.execute("PATH=$PATH:/sbin:/usr/sbin; ldconfig -p | grep -qF " .. name)
end

-- A prompt with this library alone, or with none: files that are no libraries hide them.
local function start(library, env)
  for _, name in ipairs(LIBRARIES) do
    if name ~= library then files.put(folder .. "/hidden/" .. name, "") end
  end
  local words = { "env", "-i", "PATH=" .. os.getenv "PATH", "HOME=" .. folder, "TERM=xterm",
    "LANG=C.UTF-8", "LD_LIBRARY_PATH=" .. folder .. "/hidden" }
  for _, word in ipairs(env or {}) do words[#words + 1] = word end
  words[#words + 1], words[#words + 2] = host, "-i"
  local t = terminal.start(table.unpack(words))
  t:expect "Ctrl-D ends"
  t:expect "> "
  return t
end

-- Types a line: what is shown up to the next prompt.
local function say(t, line, prompt)
  t:type(line .. "\r")
  return t:expect(prompt or "\n> ")
end

local function history()
  local file <close> = io.open(folder .. "/.local/state/keycycle/history")
  return file and file:read "a"
end

for _, library in ipairs { "libedit.so.2", "libreadline.so.8", "none" } do
  local it = library ~= "none" and not installed(library) and pending or it
  describe("The prompt with " .. library, function()
    local function line(t, text, want)
      t:type(text .. "\r")
      t:expect(want)
      t:expect "> "
    end

    it("runs lines, asks for more, tells errors and goes on", function()
      local t <close> = start(library)
      line(t, "1 + 1", "\n2\r\n")
      line(t, "= 6 * 7", "\n42\r\n")
      line(t, "'é'", "\né\r\n")
      t:type "for i = 1, 2 do\r"
      t:expect ">> "
      t:type "print(i .. '!')\r"
      t:expect ">> "
      line(t, "end", "1!\r\n2!\r\n")
      line(t, "error 'oops'", "keycycle: stdin:1: oops\r\n")
      t:type "x =\r"
      t:expect ">> "
      line(t, "5", "\n")
      line(t, "x", "\n5\r\n")
      line(t, "nonsense here", "keycycle: stdin:1: syntax error near 'here'")
      line(t, "keycycle._VERSION", "\n0.")
      t:type "\4"
      local _, how, number = t:finish()
      assert.same({ "exit", 0 }, { how, number })
    end)

    it("drops a line at Ctrl-C, and stops what runs", function()
      local t <close> = start(library)
      t:type "unfinished"
      t:expect "unfinished"
      for _ = 1, 3 do
        t:type "\3"
        t:expect "\n"
        t:expect "> "
      end
      t:type "for i = 1, 2 do\r"
      t:expect ">> "
      t:type "\3"
      t:expect "\n> "
      for _ = 1, 3 do
        t:type "print 'busy' while true do end\r"
        t:expect "busy\r\n"
        t:type "\3"
        t:expect "\nkeycycle: stdin:1: interrupted!\r\n"
        t:expect "> "
      end
      line(t, "1 + 1", "2\r\n")
      t:type "print 'asleep' keycycle.sleep(1000)\r"
      t:expect "asleep\r\n"
      t:type "\3"
      t:expect "interrupted!\r\n"
      t:expect "> "
      proc.kill(t.pid, 15)
      local _, how, number = t:finish()
      assert.same({ "signal", 15 }, { how, number })
    end)

    it("takes letters of any language where no locale is set", function()
      local t <close> = start(library, { "LANG=C" })
      line(t, "'é'", "\né\r\n")
    end)

    it("keeps the lines, for their owner alone, and none with a key", function()
      local key = "sk-0123456789abcdefghijkl"
      local t <close> = start(library, { "OPENAI_API_KEY=opensesame" })
      line(t, "x = 'first'", "\n")
      line(t, ("x = '%s'"):format(key), "\n")
      line(t, "x = 'opensesame'", "\n")
      line(t, "x = { api_key = 'short' }", "\n")
      line(t, "w = keycycle.MultiClientWrapper.new()", "\n")
      line(t, "w:register_provider('groq', { keys = { 'pass' .. 'word-q' } })", "\n")
      line(t, "print 'password-q'", "password-q\r\n")
      line(t, "print 'last'", "last\r\n")
      t:type "\4"
      t:finish()
      assert.equal("x = 'first'\nw = keycycle.MultiClientWrapper.new()\n"
        .. "w:register_provider('groq', { keys = { 'pass' .. 'word-q' } })\nprint 'last'\n",
        history())
      assert.equal("600\n", io.popen("stat -c %a " .. folder .. "/.local/state/keycycle/history")
        :read "a")
    end)
  end)

  if library ~= "none" then
    describe("History with " .. library, function()
      it("comes back, and loses its oldest lines", function()
        local path = folder .. "/.local/state/keycycle/history"
        local lines = {}
        for i = 1, 1003 do lines[i] = ("print 'line %d'\n"):format(i) end
        files.put(path, table.concat(lines))
        local t <close> = start(library)
        t:type "\27[A"
        t:expect "print 'line 1003'"
        t:type "\27[A"
        t:expect "2"
        t:type "\r"
        t:expect "\nline 1002\r\n"
        t:expect "> "
        t:type "\4"
        t:finish()
        assert.equal(table.concat(lines, "", 4) .. "print 'line 1002'\n", history())
      end)
    end)
  end
end

describe("The prompt", function()
  it("keeps its history where the user says", function()
    local t <close> = start("none", { "XDG_STATE_HOME=" .. folder .. "/state" })
    say(t, "print 'kept'")
    t:type "\4"
    t:finish()
    local file <close> = assert(io.open(folder .. "/state/keycycle/history"))
    assert.equal("print 'kept'\n", file:read "a")
  end)

  it("goes on where no history can be kept", function()
    local t <close> = start("none", { "XDG_STATE_HOME=/dev/null" })
    assert.truthy(say(t, "1 + 1"):find("\n2\r", 1, true))
  end)

  it("shows what is in a table, but for keys", function()
    local t <close> = start("none")
    local text = say(t, "{ 1, { 'a' }, b = { c = true, ['d e'] = '\\27[2J' }, api_key = 'open' }")
    assert.truthy(text:gsub("\r", ""):find('{\n  1,\n  {\n    "a",\n  },\n  api_key = "***",\n'
      .. '  b = {\n    c = true,\n    ["d e"] = "[2J",\n  },\n}', 1, true), text)
    text = say(t, "t = {}; t.t = t; return t, 5, nil")
    assert.truthy(text:find("{\r\n  t = { … },\r\n}\t5\tnil", 1, true), text)
    text = say(t, "setmetatable({}, { __tostring = function() return 'an object' end })")
    assert.truthy(text:find("\nan object\r", 1, true), text)
  end)

  it("lets a line read from the terminal", function()
    local t <close> = start(installed "libedit.so.2" and "libedit.so.2" or "none")
    t:type "print 'go' or io.read()\r"
    t:expect "go\r\n"
    t:type "typed\r"
    t:expect "typed\r\ntyped\r\n"
  end)
end)

-- What it prints to these lines, both streams, and its exit code.
local function piped(lines, options)
  files.put(folder .. "/input", lines)
  return servers.command(folder, (options or "") .. " -i <input")
end

describe("The prompt on a pipe", function()
  it("prints what the lines give and nothing else", function()
    local out, rc = piped "print(1)\n1 + 1\nfor i = 1, 2 do\nprint(i)\nend\nx = 5\nx"
    assert.same({ "1\n2\n1\n2\n5\n", 0 }, { out, rc })
    assert.is_nil(history())
  end)

  it("leaves the history alone", function()
    local lines = ("print 'kept'\n"):rep(1003)
    files.put(folder .. "/.local/state/keycycle/history", lines)
    piped "1\n"
    assert.equal(lines, history())
  end)

  it("takes lines of any length", function()
    local out = piped("#'" .. ("x"):rep(100000) .. "'\n")
    assert.equal("100000\n", out)
  end)

  it("says where the input ends too early", function()
    local out, rc = piped "for i = 1, 2 do\n"
    assert.equal(0, rc)
    assert.truthy(out:find("'end' expected near <eof>", 1, true), out)
  end)

  it("comes after code and scripts", function()
    assert.equal("6\n", (piped("x + 1\n", "-e 'x = 5'")))
    files.put(folder .. "/first.lua", "y = ...")
    files.put(folder .. "/input", "y\n")
    assert.equal("word\n", (servers.command(folder, "-i first.lua word <input")))
  end)

  it("does without globals that a program has taken away or guards", function()
    local guard = "setmetatable(_G, { __index = function(_, k) error('no ' .. k) end, "
      .. "__newindex = function(_, k) error('not ' .. k) end })"
    local out, rc = piped("{ 1 }\nx\n_VERSION\n", ('-e "%s"'):format(guard))
    assert.equal(0, rc)
    assert.truthy(out:find("^{\n  1,\n}\nkeycycle: %(command line%):1: no x\n.*\nLua 5.4\n$"), out)
    out, rc = piped("{}\nprint = nil\n5\n", "-e 'require = nil'")
    assert.equal(0, rc)
    assert.truthy(out:find("^table: [^\n]+\nkeycycle: there is no function 'print'"), out)
  end)

  it("goes on after errors", function()
    local out = piped "error 'one'\nerror {}\n1 + 1\n"
    assert.truthy(out:find("keycycle: stdin:1: one\n", 1, true), out)
    assert.truthy(out:find("(the error is a table value)", 1, true), out)
    assert.truthy(out:find("2\n", 1, true), out)
  end)
end)
