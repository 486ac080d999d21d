--- What `make demo` runs, and the commands that scripts are tried with.
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local function sh(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo rc=$?"))
  local out = pipe:read "a"
  pipe:close()
  return out:match "^(.-)rc=(%d+)\n$"
end

local host = servers.build .. "/keycycle"

describe("keycycle demo", function()
  it("answers sixty of sixty calls, in plain text where nobody looks", function()
    local out, rc = sh("KEYCYCLE_BUILD=" .. servers.build .. " timeout 60 " .. host .. " demo")
    assert.equal("0", rc, out)
    assert.truthy(out:find("60 of 60 calls answered\n$"), out)
    assert.truthy(out:find("says 429, rotating to key", 1, true))
    assert.truthy(out:find("In %S+demo.db"))
    assert.is_nil(out:find("\27", 1, true))
    assert.is_nil(out:find("sk-first-000", 1, true))
  end)

  it("says how it is used, and runs nothing then", function()
    for arguments, want in pairs { ["--help"] = "0", ["--nope"] = "2", word = "2" } do
      local out, rc = sh(host .. " demo " .. arguments)
      assert.equal(want, rc)
      assert.truthy(out:find("usage: keycycle demo", 1, true))
      assert.is_nil(out:find("Part 1", 1, true))
    end
  end)

  it("leaves no mock behind when it is killed", function()
    local pipe <close> = assert(io.popen(("echo $$; KEYCYCLE_BUILD=%s exec %s demo 2>&1")
      :format(servers.build, host)))
    local pid = pipe:read "l"
    repeat local line = pipe:read "l" until line:find "^Part 1"
    os.execute("kill -9 " .. pid)
    pipe:read "a" -- until the last one that writes to it has ended
  end)
end)

describe("keycycle mock --parent", function()
  it("ends at once where the parent is another", function()
    local out, rc = sh("timeout 20 " .. host .. " mock --port 0 --parent 1 ")
    assert.equal("0", rc, out)
  end)
end)

describe("keycycle check, stats, providers and chat", function()
  local mock, env
  setup(function()
    mock = servers.mock "--keys sk-mock-aaaaaaaaaaaaaaaa-1"
    env = "OPENAI_API_KEY= OPENAI_API_KEY_1= NUM_OPENAI= GROQ_API_KEY= GROQ_API_KEY_1= NUM_GROQ= "
  end)
  teardown(function() mock.stop() end)

  it("say what is missing where no key is set", function()
    for _, name in ipairs { "check", "chat" } do
      local out, rc = sh("cd / && env " .. env .. " timeout 20 $OLDPWD/" .. host .. " " .. name
        .. " </dev/null")
      assert.not_equal("0", rc, name .. out)
      assert.truthy(out:find("API_KEY", 1, true) or out:find("no keys", 1, true), out)
    end
  end)

  it("list the providers", function()
    local out, rc = sh(host .. " providers")
    assert.equal("0", rc)
    assert.truthy(out:find("openai", 1, true) and out:find("groq", 1, true))
  end)

  it("hold a conversation that is streamed", function()
    local out, rc = sh("printf 'Hello\\nand again\\n' | env " .. env
      .. "OPENAI_API_KEY_1=sk-mock-aaaaaaaaaaaaaaaa-1 timeout 20 " .. host
      .. " chat --base-url " .. mock.url)
    assert.equal("0", rc, out)
    assert.truthy(out:find("You said: Hello", 1, true), out)
    assert.truthy(out:find("You said: and again", 1, true), out)
    local answer = keycycle.http.request { url = mock.root .. "/journal" }
    assert.equal(2, keycycle.json.decode(answer.body).keys[1].streams)
  end)
end)
