--- keycycle chat: a conversation with any provider, on a pipe and on a terminal.
local keycycle = require "keycycle"
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local json = keycycle.json
local build = servers.path()

local folder, remove
setup(function() folder, remove = files.folder() end)
teardown(function() remove() end)

-- What it says to these lines, both streams, and how it ends.
local function chat(lines, arguments, env)
  local path = folder .. "/input"
  files.put(path, lines)
  local pipe <close> = assert(io.popen(("(cd %s && env -i PATH=\"$PATH\" HOME=%s TERM=xterm %s "
    .. "timeout 60 %s/keycycle chat %s <input) 2>&1; echo \"rc=$?\""):format(folder, folder,
    env or "OPENAI_API_KEY=sk-mock-0123456789abcdef-1", build, arguments)))
  local text, rc = pipe:read "a":match "^(.-)rc=(%d+)\n$"
  assert.is_nil(text:find("0123456789", 1, true), text)
  assert.is_nil(text:find("traceback", 1, true), text)
  return text, tonumber(rc)
end

local function has(text, ...)
  for _, word in ipairs { ... } do assert.truthy(text:find(word, 1, true), text) end
end

local function mock(style)
  return servers.mock("--journal-bodies --keys sk-mock-0123456789abcdef-1 --style " .. style)
end

local function requests(server)
  return json.decode(keycycle.http.request { url = server.root .. "/journal" }.body).requests
end

describe("keycycle chat", function()
  for style, model in pairs { openai = "gpt-4o-mini", anthropic = "claude-x", gemini = "gemini-x",
    cohere = "command-x" } do
    it("streams what " .. style .. " says, and remembers it", function()
      local server = mock(style)
      finally(server.stop)
      local text, rc = chat("Hello\nand again\n/quit\nnever\n", ("--provider %s --model %s "
        .. "--base-url %s --system Short"):format(style, model, server.url),
        style:upper() .. "_API_KEY=sk-mock-0123456789abcdef-1")
      assert.equal(0, rc, text)
      has(text, style .. " " .. model, "> You said: Hello\n", "> You said: and again\n")
      local list = requests(server)
      assert.equal(2, #list)
      has(json.encode(list[2].body), "You said: Hello", "and again", "Short")
    end)
  end

  it("stays usable after an error, which leaves the conversation as it was", function()
    local server = mock "openai"
    finally(server.stop)
    local text, rc = chat("Hello\nmock:status=400\nmock:fault=midstream\nlast\n", "--base-url "
      .. server.url)
    assert.equal(0, rc, text)
    has(text, "invalid_request", "> You said: last\n")
    local list = requests(server)
    local body = json.encode(list[#list].body)
    has(body, "Hello", "last")
    assert.is_nil(body:find("mock:", 1, true), body)
  end)

  it("has commands", function()
    local server = mock "openai"
    finally(server.stop)
    local text, rc = chat("/help\n/model\n/model gpt-4o\nHello\n/keys\n/stats\n/nope\n \n",
      "--base-url " .. server.url)
    assert.equal(0, rc, text)
    has(text, "/model [NAME]", "> openai gpt-4o-mini\n> openai gpt-4o\n", "key  ends    state",
      "1 requests", "there is no /nope")
    local list = requests(server)
    assert.equal(1, #list)
    has(json.encode(list[1].body), '"gpt-4o"')
  end)
end)

describe("keycycle chat finds", function()
  it("the provider by the keys, and the model by a variable or .env", function()
    local server = mock "groq"
    files.put(folder .. "/.env", "GROQ_API_KEY=sk-mock-0123456789abcdef-1\nGROQ_MODEL=m-env\n")
    finally(function()
      server.stop()
      os.remove(folder .. "/.env")
    end)
    local text, rc = chat("Hello\n", "--base-url " .. server.url, "X=1")
    assert.equal(0, rc, text)
    has(text, "groq m-env", "You said: Hello")
    text = chat("", "--base-url " .. server.url, "GROQ_MODEL=m-own")
    has(text, "groq m-own")
    text = chat("", "--model m-said --base-url " .. server.url, "GROQ_MODEL=m-own")
    has(text, "groq m-said")
  end)

  it("nothing where it cannot be told, and says how it is", function()
    local text, rc = chat("", "", "X=1")
    assert.equal(1, rc)
    has(text, "no keys are set")
    text, rc = chat("", "", "GROQ_API_KEY=k-0123456789 MISTRAL_API_KEY=k-0123456789")
    assert.equal(2, rc)
    has(text, "--provider is needed: groq, mistral have keys", "usage: ")
    text, rc = chat("", "", "GROQ_API_KEY=k-0123456789")
    assert.equal(2, rc)
    has(text, "which model of groq? --model says, or GROQ_MODEL", "openai/gpt-oss-20b")
    text, rc = chat("", "", "GEMINI_API_KEY=k-0123456789") -- two providers share the variable
    assert.equal(2, rc)
    has(text, "which model of gemini?")
    text, rc = chat("", "--provider nobody --model m", "X=1")
    assert.equal(1, rc)
    has(text, "unknown provider")
    text, rc = chat("", "--provider groq --model m", "X=1")
    assert.equal(1, rc)
    has(text, "GROQ_API_KEY")
  end)

  it("an option that is none, and says how it is used", function()
    local text, rc = chat("", "--help")
    assert.equal(0, rc)
    has(text, "usage: keycycle chat")
    for _, bad in ipairs { "--nope", "--model", "word" } do
      text, rc = chat("", bad .. " 2>&1 >/dev/null")
      assert.equal(2, rc, text)
      has(text, "usage: keycycle chat")
    end
  end)
end)

describe("keycycle chat, when it is interrupted,", function()
  it("stops the answer and goes on, as often as that is", function()
    local hung = servers.canned [[return function()
      return 200, { ["content-type"] = "text/event-stream" },
        { 'data: {"choices":[{"delta":{"content":"begun"}}]}\n\n', false }
    end]]
    finally(hung.stop)
    local fifo, output = folder .. "/fifo", folder .. "/output"
    assert(os.execute("mkfifo " .. fifo))
    local pipe <close> = assert(io.popen(("echo $$; cd %s && exec env -i HOME=%s "
      .. "OPENAI_API_KEY=sk-mock-0123456789abcdef-1 %s/keycycle chat --base-url %s >output "
      .. "2>&1 <fifo"):format(folder, folder, build, hung.url)))
    local pid = pipe:read "l"
    local input = io.open(fifo, "w")
    for i = 1, 3 do
      input:write("Hello\n")
      input:flush()
      local function count(word)
        local file <close> = io.open(output)
        return select(2, file:read "a":gsub(word, ""))
      end
      while count "begun" < i do keycycle.sleep(0.001) end
      os.execute("kill -INT " .. pid)
      while count "interrupted!" < i do keycycle.sleep(0.001) end
    end
    assert.equal(3, #hung.journal())
    input:close()
    assert.is_true(pipe:close())
  end)
end)

describe("keycycle chat on a terminal", function()
  it("shows nothing that gives it orders", function()
    if not os.execute "command -v script >/dev/null" then return end
    local server = servers.canned [[return function(request)
      if request.body:find "refuse" then
        return 400, { ["content-type"] = "application/json" },
          '{"error":{"message":"no \\u001b[31mway\\u0007"}}'
      end
      return 200, { ["content-type"] = "text/event-stream" }, 'data: {"choices":[{"delta":'
        .. '{"content":"a\\u001b[31mb\\u0007c"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    end]]
    finally(server.stop)
    local function on_terminal(input)
      files.put(folder .. "/input", input)
      local pipe <close> = assert(io.popen(("cd %s && env -i PATH=\"$PATH\" HOME=%s TERM=xterm "
        .. "OPENAI_API_KEY=sk-mock-0123456789abcdef-1 timeout 20 script -qec '%s/keycycle chat "
        .. "--base-url %s; echo rc=$?' /dev/null <input 2>&1"):format(folder, folder, build,
        server.url)))
      return pipe:read "a"
    end
    local text = on_terminal "Hello\nrefuse\n/quit\n"
    has(text, "a[31mbc", "rc=0", "no [31mway")
    assert.is_nil(text:find("[\27\7]"))
  end)
end)
