--- The program under signals: the first one stops it cleanly, the second at once.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local proc = require "tests.support.proc"
local processes = require "tests.support.processes"
local servers = require "tests.support.servers"

local json = keycycle.json
local host = servers.path() .. "/keycycle"
local SIGHUP, SIGINT, SIGTERM = 1, 2, 15
local KEY = "sk-mock-0123456789abcdef-1"

local folder, remove
setup(function() folder, remove = files.folder() end)
teardown(function() remove() end)

-- The program with what follows it on its command line, both its streams in one.
local function start(command)
  return processes.start("sh", "-c", ("cd %s && OPENAI_API_KEY=%s exec %s %s 2>&1")
    :format(folder, KEY, host, command))
end

local function script(text)
  files.put(folder .. "/script.lua", "local keycycle = require 'keycycle'\n" .. text)
  return start "script.lua"
end

-- What is printed from "ready" on when these signals come, one at each "ready"; then how
-- it ended.
local function stop(process, ...)
  local signals, sent, lines = { ... }, 0, {}
  local function hear(line)
    lines[#lines + 1] = line
    if line:find("ready", 1, true) and signals[sent + 1] then
      sent = sent + 1
      process:kill(signals[sent])
    end
  end
  local how, number = process:finish(hear)
  assert.equal(#signals, sent)
  local text = table.concat(lines, "\n") .. "\n"
  assert.is_nil(text:find("0123456789", 1, true), text)
  return text, how, number
end

local function ends_by(signal, text, how, number)
  assert.same({ "signal", signal }, { how, number }, text)
  return text
end

local CLOSER = [[
local held <close> = setmetatable({}, { __close = function() print "closed" end })
]]

describe("A signal", function()
  for name, code in pairs {
    ["a busy loop"] = "while true do end",
    ["a busy coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["keycycle.sleep"] = "keycycle.sleep(60)",
    ["several tasks"] = [[keycycle.run(function()
      for _ = 1, 3 do
        keycycle.spawn(function() local held <close> = held2() keycycle.sleep(60) end)
      end
      keycycle.sleep(0) -- they begin
      print "ready"
      keycycle.sleep(60)
    end)]],
    ["a busy task among others"] = [[keycycle.run(function()
      keycycle.spawn(function() local held <close> = held2() keycycle.sleep(60) end)
      keycycle.spawn(function()
        local held <close> = held2()
        keycycle.sleep(0)
        print "ready"
        while true do end
      end)
      keycycle.sleep(60)
    end)]],
    ["tasks that nobody runs"] = [[
      keycycle.spawn(function() local held <close> = held2() keycycle.sleep(60) end)
      keycycle.step(0)
      print "ready"
      while true do end]],
    ["reading a line"] = "io.read()",
  } do
    for signal, word in pairs { [SIGINT] = "interrupted!", [SIGTERM] = "terminated!",
      [SIGHUP] = "hung up!" } do
      it(("%d stops %s, and the program ends by it"):format(signal, name), function()
        local process <close> = script(CLOSER .. [[
          function held2()
            return setmetatable({}, { __close = function() print "task closed" end })
          end
          io.stdout:setvbuf "no"
          ]] .. (code:find "ready" and "" or "print 'ready'\n") .. code)
        local text = ends_by(signal, stop(process, signal))
        assert.truthy(text:find("\nclosed\n", 1, true), text)
        assert.truthy(text:find("keycycle: script.lua:%d+: " .. word), text)
        assert.equal(select(2, code:gsub("held2", "")) * (code:find "1, 3" and 3 or 1),
          select(2, text:gsub("task closed\n", "")), text)
        assert.is_nil(text:find("nobody awaited", 1, true), text)
      end)
    end
  end

  -- A signal right before the server waits is told again by SIGALRM, a second later.
  it("lets go of a server that began to wait when it had come", function()
    local process <close> = script [[
      io.stdout:setvbuf "no"
      local server = require "keycycle.server".open { port = 0 }
      server:after(0, function() print "ready" end)
      server:run(function() end)
      print "let go"]]
    local text, how, number = stop(process, 14)
    assert.same({ "ready\nlet go\n", "exit", 0 }, { text, how, number })
  end)

  it("that is swallowed is the last: the second one ends it at once", function()
    local process <close> = script(CLOSER .. [[
      io.stdout:setvbuf "no"
      while true do
        pcall(function() print "ready" while true do end end)
      end]])
    local text = ends_by(SIGINT, stop(process, SIGINT, SIGINT))
    assert.is_nil(text:find("closed", 1, true), text)
  end)

  it("that comes twice at once, as timeout and terminals send it, is one", function()
    for signal, name in pairs { [SIGTERM] = "TERM", [SIGHUP] = "HUP" } do
      local process <close> = script(([[
        local function tell() os.execute "kill -%s $PPID" end
        local held <close> = setmetatable({}, { __close = function() tell() print "closed" end })
        tell()]]):format(name))
      assert.truthy(ends_by(signal, stop(process)):find("closed\n", 1, true))
    end
  end)

  it("that is caught ends the program once it has done its work", function()
    local process <close> = script [[
      print(pcall(function() io.stdout:setvbuf "no" print "ready" while true do end end))
      print "done"]]
    assert.equal("ready\nfalse\tinterrupted!\ndone\n", ends_by(SIGINT, stop(process, SIGINT)))
  end)

  it("is forgiven to a program that asks, but SIGTERM is not", function()
    local code = [[
      local host = require "keycycle.host"
      io.stdout:setvbuf "no"
      for _ = 1, 2 do
        pcall(function() print "ready" while true do end end)
        print(host.interrupted(), (host.interrupted()))
        if %s then break end
      end]]
    do
      local process <close> = script(code:format "false")
      local text, how, number = stop(process, SIGINT, SIGINT)
      assert.same({ "exit", 0 }, { how, number }, text)
      assert.equal("ready\nSIGINT\tnil\nready\nSIGINT\tnil\n", text)
    end
    local process <close> = script(code:format "true")
    assert.equal("ready\nSIGTERM\tSIGTERM\n", ends_by(SIGTERM, stop(process, SIGTERM)))
  end)

  it("that was ignored when it began stays so", function()
    files.put(folder .. "/script.lua",
      "io.stdout:setvbuf 'no' print 'ready' io.read() print 'read'")
    local process <close> = processes.start("sh", "-c", ("trap '' INT; exec %s %s/script.lua")
      :format(host, folder))
    assert.equal("ready", process:line(60))
    process:kill(SIGINT)
    process:tell "go on"
    local lines = {}
    local how, number = process:finish(function(line) lines[#lines + 1] = line end)
    assert.same({ "read", "exit", 0 }, { lines[1], how, number })
  end)
end)

describe("A signal in the midst of calls", function()
  local hung
  setup(function()
    hung = servers.canned [[return function(request)
      if request.body:find '"stream":true' then
        return 200, { ["content-type"] = "text/event-stream" },
          { 'data: {"choices":[{"delta":{"content":"begun"}}]}\n\n', false }
      end
      return 200, {}, { "{", false }
    end]]
  end)
  teardown(function() hung.stop() end)
  before_each(function() os.execute("rm -f " .. folder .. "/usage.db*") end)

  -- What the store has of it, once it has ended.
  local function requests()
    local out, rc = servers.command(folder, "stats --db sqlite:usage.db --json")
    assert.equal(0, rc, out)
    return json.decode(out).total.requests
  end

  local PREPARED = CLOSER .. [[
    io.stdout:setvbuf "no"
    local wrapper <close> = keycycle.MultiClientWrapper.from_env({ openai = {
      base_url = "%s", default_model = "m", limits = { requests_per_day = %d } } },
      { db_url = "sqlite:usage.db" })
    local client = wrapper:get_rotating_client "openai"
    local model = wrapper:get_model "openai"
    local watch = function()
      while wrapper:get_manager "openai":get_global_stats().total.in_flight < %d do
        keycycle.sleep(0.001)
      end
      print "ready"
    end
  ]]

  for name, case in pairs {
    ["a call"] = { 9, 1, [[keycycle.run(function()
      keycycle.spawn(watch)
      model:invoke "x"
    end)]] },
    ["a stream"] = { 9, 1, [[for text in model:invoke_stream "x" do print("ready", text) end]] },
    ["several calls"] = { 9, 3, [[keycycle.run(function()
      keycycle.gather { watch, function() model:invoke "x" end, function() model:invoke "y" end,
        function() for _ in model:invoke_stream "z" do end end }
    end)]] },
    ["a wait for a key"] = { 1, 1, [[local stream <close> = model:invoke_stream "x"
      print "ready"
      client.chat.completions:create({ messages = { { role = "user", content = "y" } } },
        { timeout = 200000 })]] },
  } do
    it("stops " .. name .. ", and what was used is kept", function()
      local limit, calls, code = table.unpack(case)
      local process <close> = script(PREPARED:format(hung.url, limit, calls) .. code)
      local text = ends_by(SIGINT, stop(process, SIGINT))
      assert.truthy(text:find("\nclosed\n", 1, true), text)
      assert.truthy(text:find("script.lua:%d+: interrupted!"), text)
      assert.equal(calls, requests())
    end)
  end
end)

describe("A command that gets a signal", function()
  local hung
  setup(function()
    hung = servers.canned [[return function()
      return 200, { ["content-type"] = "text/event-stream" },
        { 'data: {"choices":[{"delta":{"content":"ready"}}]}\n\n', false }
    end]]
  end)
  teardown(function() hung.stop() end)


  it("is the mock", function()
    for _, signal in ipairs { SIGINT, SIGTERM, SIGHUP } do
      local process <close> = start "mock --port 0"
      local port
      process:listen(proc.mono() + 60, function(line)
        port = line:match "127.0.0.1:(%d+)"
        return true
      end)
      assert.truthy(port)
      process:kill(signal)
      local lines = {}
      local how, number = process:finish(function(line) lines[#lines + 1] = line end)
      assert.same({ "signal", signal, {} }, { how, number, lines })
    end
  end)

  it("is a chat: SIGTERM ends it in the midst of an answer", function()
    local process <close> = start("chat --base-url " .. hung.url)
    process:tell "Hello"
    local text = {}
    repeat
      local piece = assert(proc.read(process.from, 60))
      text[#text + 1] = piece
    until table.concat(text):find("> ready", 1, true)
    process:kill(SIGTERM)
    local how, number = process:finish()
    assert.same({ "signal", SIGTERM }, { how, number })
  end)

  it("is a batch, which goes on later", function()
    files.put(folder .. "/in.jsonl", '{"prompt":"a"}\n{"prompt":"b"}\n')
    local server = servers.canned [[return function(request)
      if request.n == 1 then return 200, {}, '{"choices":[{"message":{"content":"x"}}]}' end
      return 200, {}, { "{", false }
    end]]
    finally(server.stop)
    local process <close> = start(("batch --jobs 1 --base-url %s in.jsonl out.jsonl")
      :format(server.url))
    while #server.journal() < 2 do keycycle.sleep(0.001) end
    process:kill(SIGINT)
    local lines = {}
    local how, number = process:finish(function(line) lines[#lines + 1] = line end)
    local text = table.concat(lines, "\n")
    assert.same({ "signal", SIGINT }, { how, number }, text)
    assert.truthy(text:find("keycycle batch: stopped: interrupted!", 1, true), text)
    local file <close> = assert(io.open(folder .. "/out.jsonl"))
    assert.equal("x", json.decode(file:read "l").content)
    assert.is_nil(file:read "l")
  end)

  it("is stats --watch: Ctrl-C is how it ends, SIGTERM ends it", function()
    local empty <close> = script [[
      local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = "sqlite:usage.db" }
      wrapper:register_provider("openai", { keys = { "sk-0123456789abcdef0123" } })
      wrapper:get_manager "openai":get_key("m"):commit(5)]]
    assert.same({ "exit", 0 }, { empty:finish() })
    for signal, want in pairs { [SIGINT] = "exit", [SIGTERM] = "signal" } do
      local process <close> = start "stats --db sqlite:usage.db --watch --json"
      assert.truthy(process:line(60))
      process:kill(signal)
      local lines = {}
      local how, number = process:finish(function(line) lines[#lines + 1] = line end)
      assert.same({ want, want == "exit" and 0 or signal }, { how, number })
      assert.is_nil(table.concat(lines):find("[tT]erminated"))
    end
  end)
end)
