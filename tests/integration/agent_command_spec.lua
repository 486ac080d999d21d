--- keycycle agent: one prompt or many, with tools that do no harm.
local keycycle = require "keycycle"
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local json = keycycle.json
local build = servers.path()

local folder, remove
before_each(function() folder, remove = files.folder() end)
after_each(function() remove() end)

local function run(arguments, input, env)
  files.put(folder .. "/.input", input or "")
  local pipe <close> = assert(io.popen(("(cd %s && env -i PATH=\"$PATH\" HOME=%s TERM=xterm %s "
    .. "timeout 60 %s/keycycle agent %s <.input) 2>&1; echo \"rc=$?\""):format(folder, folder,
    env or "OPENAI_API_KEY=sk-mock-0123456789abcdef-1", build, arguments)))
  local text, rc = pipe:read "a":match "^(.-)rc=(%d+)\n$"
  assert.is_nil(text:find("0123456789", 1, true), text)
  assert.is_nil(text:find("traceback", 1, true), text)
  return text, tonumber(rc)
end

-- A server whose model calls one tool, and then says what that answered.
local function caller(name, arguments)
  return servers.canned(([[
    local json = require "keycycle".json
    local function event(delta, reason)
      return "data: " .. json.encode { choices = { { index = 0, delta = delta,
        finish_reason = reason } } } .. "\n\n"
    end
    return function(request)
      local messages = json.decode(request.body).messages
      local last = messages[#messages]
      local events = last.role == "tool" and event({ content = "It says: " .. last.content })
        .. event({}, "stop") or event({ tool_calls = { { index = 0, id = "c1", type = "function",
        ["function"] = { name = %q, arguments = %q } } } }) .. event({}, "tool_calls")
      return 200, { ["content-type"] = "text/event-stream" }, events .. "data: [DONE]\n\n"
    end]]):format(name, json.encode(arguments)))
end

local function said(name, arguments)
  local server = caller(name, arguments)
  local text, rc = run("Go --base-url " .. server.url)
  server.stop()
  assert.equal(0, rc, text)
  return text:match "^It says: (.*)\n$" or text
end

describe("keycycle agent", function()
  it("has a clock and a calculator", function()
    assert.truthy(said("time", {}):find "^%a+ %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d [+-]%d%d%d%d$")
    assert.equal("42", said("calculate", { expression = "6 * (3 + 4)" }))
    assert.truthy(said("calculate", { expression = "os.exit()" }):find("not understood", 1, true))
  end)

  it("lists and reads the files of the folder", function()
    files.put(folder .. "/notes.txt", "remember the milk")
    files.put(folder .. "/sub/more.txt", "é")
    assert.equal("notes.txt\nsub/", said("list_files", {}))
    assert.equal("remember the milk", said("read_file", { path = "notes.txt" }))
    assert.equal("é", said("read_file", { path = "./sub/more.txt" }))
    files.put(folder .. "/long.txt", ("é"):rep(30000))
    assert.equal(("é"):rep(10000), said("read_file", { path = "long.txt" }))
    files.put(folder .. "/odd.txt", "a" .. ("é"):rep(30000))
    assert.equal("a" .. ("é"):rep(9999), said("read_file", { path = "odd.txt" }))
    files.put(folder .. "/bytes", "\255\254\0\0\0\0\0\0")
    assert.truthy(said("read_file", { path = "bytes" }):find("not a text", 1, true))
    assert.truthy(said("read_file", { path = "nope" }):find("No such file", 1, true))
    assert.truthy(said("read_file", { path = "sub" }):find("directory", 1, true))
  end)

  it("reads nothing that is hidden, elsewhere or full of keys", function()
    files.put(folder .. "/.env", "SECRET=word")
    files.put(folder .. "/my.env", "SECRET=word")
    files.put(folder .. "/.git/config", "SECRET=word")
    for _, path in ipairs { ".env", "./.env", "my.env", ".git/config", "/etc/hostname",
      "../x", "sub/../../x", "sub/.hidden", "." } do
      assert.truthy(said("read_file", { path = path }):find("only files of this folder", 1, true),
        path)
    end
  end)

  it("follows no link out of the folder or to what is hidden, and opens no pipe", function()
    files.put(folder .. "/.env", "SECRET=word")
    assert(os.execute(("cd %s && ln -s .env plain && ln -s /etc/hostname host && ln -s / root && "
      .. "mkfifo pipe && echo yes >file && ln -s file link"):format(folder)))
    for _, path in ipairs { "plain", "host", "root/etc/hostname" } do
      assert.truthy(said("read_file", { path = path }):find("only files of this folder", 1, true),
        path)
    end
    assert.truthy(said("read_file", { path = "pipe" }):find("no file", 1, true))
    assert.equal("yes", said("read_file", { path = "link" }))
  end)

  it("asks for prompts where none is given, and remembers", function()
    local server = servers.mock "--journal-bodies --keys sk-mock-0123456789abcdef-1"
    finally(server.stop)
    local text, rc = run("--system Short --base-url " .. server.url,
      "Hello\nmock:status=400\nmock:tool=time\nlast\n")
    assert.equal(0, rc, text)
    assert.truthy(text:find("> You said: Hello\n", 1, true), text)
    assert.truthy(text:find("invalid_request", 1, true), text)
    assert.truthy(text:find("> The tool time said: ", 1, true), text)
    local list = json.decode(keycycle.http.request { url = server.root .. "/journal" }.body)
    local body = json.encode(list.requests[#list.requests].body)
    assert.truthy(body:find("Hello", 1, true) and body:find("Short", 1, true), body)
    assert.is_nil(body:find("status=400", 1, true))
  end)

  it("works with the models of others", function()
    for style, variable in pairs { anthropic = "ANTHROPIC", gemini = "GEMINI",
      cohere = "COHERE" } do
      local server = servers.mock("--keys sk-mock-0123456789abcdef-1 --style " .. style)
      local text, rc = run(("--provider %s --model m --base-url %s mock:tool=time"):format(style,
        server.url), "", variable .. "_API_KEY=sk-mock-0123456789abcdef-1")
      server.stop()
      assert.equal(0, rc, text)
      assert.truthy(text:find("The tool time said", 1, true), text)
    end
  end)

  it("fails with 1, and with 2 where it is used badly", function()
    local text, rc = run "--base-url http://127.0.0.1:1/v1 --provider nobody --model m Hello"
    assert.equal(1, rc, text)
    assert.truthy(text:find("NOBODY_API_KEY", 1, true), text)
    text, rc = run "--help"
    assert.equal(0, rc)
    assert.truthy(text:find("^usage: keycycle agent"), text)
    for _, bad in ipairs { "--nope", "--max-steps 0", "a b" } do
      text, rc = run(bad .. " 2>&1 >/dev/null")
      assert.equal(2, rc, text)
      assert.truthy(text:find("usage: keycycle agent", 1, true), text)
    end
  end)
end)
