--- keycycle check, providers and stats: what they print, and what they end with.
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local folder, remove
setup(function() folder, remove = files.folder() end)
teardown(function() remove() end)

local function run(command, env) return servers.command(folder, command, env) end

local function own_provider(name, url, more)
  files.put(("%s/.config/keycycle/providers/%s.lua"):format(folder, name),
    ('return keycycle.provider { name = "%s", extends = "openai_compatible",\n'
      .. 'base_url = "%s", %s }'):format(name, url, more or ""))
end

describe("keycycle check, providers and stats", function()
  it("say how they are used, and what is wrong", function()
    for _, name in ipairs { "check", "providers", "stats" } do
      local out, rc = run(name .. " --help")
      assert.equal(0, rc)
      assert.truthy(out:find("^usage: keycycle " .. name), out)
      for _, bad in ipairs { "--nope", "-x" } do
        out, rc = run(name .. " " .. bad .. " >/dev/null")
        assert.equal(2, rc)
        assert.equal(1, (out:find("keycycle " .. name .. ": unknown option " .. bad, 1, true)), out)
        assert.truthy(out:find("usage: ", 1, true))
        assert.is_nil(out:find("traceback", 1, true))
      end
    end
    assert.equal(2, select(2, run "check a b c"))
    assert.equal(2, select(2, run "providers openai"))
  end)

  it("are told what is not there in one line", function()
    for command, word in pairs { ["check nobody"] = "unknown provider", ["check openai"] =
      "OPENAI_API_KEY" } do
      local out, rc = run(command)
      assert.equal(1, rc)
      assert.truthy(out:find(word, 1, true), out)
      assert.is_nil(out:find("traceback", 1, true), out)
    end
  end)
end)

local ALL = { "agent", "batch", "chat", "check", "demo", "mock", "providers", "stats" }

describe("Every command", function()
  it("helps on standard output, however it is asked", function()
    for _, name in ipairs(ALL) do
      local out, rc = run(name .. " --help 2>/dev/null")
      assert.equal(0, rc, name)
      assert.truthy(out:find("^usage: keycycle " .. name), out)
      for _, command in ipairs { name .. " -h", "help " .. name, "-- " .. name .. " --help" } do
        assert.same({ out, 0 }, { run(command .. " 2>/dev/null") })
      end
    end
  end)

  it("names an option that it does not know, and prints nothing", function()
    for _, name in ipairs(ALL) do
      for _, bad in ipairs { "--nope", "--nope=1", "-x", "--help=1" } do
        local out, rc = run(name .. " " .. bad .. " 2>/dev/null")
        assert.same({ "", 2 }, { out, rc }, name .. bad)
        out = run(name .. " " .. bad)
        assert.truthy(out:find("keycycle " .. name .. ": unknown option " .. bad, 1, true), out)
      end
    end
  end)

  it("names an option without its value, or with one too many", function()
    for command, word in pairs { ["agent --model"] = "--model needs a value",
      ["batch --jobs"] = "--jobs needs a value",
      ["batch --jobs 0 a b"] = "--jobs is a whole number",
      ["batch --retry-errors=1"] = "unknown option", ["chat --model"] = "--model needs a value",
      ["stats --db"] = "--db needs a value", ["stats --days=x"] = "--days is a whole number",
      ["mock --port"] = "--port needs a value", ["mock --port=x"] = "--port must be a whole number",
      ["mock --no-limit-headers=1"] = "unknown option" } do
      local out, rc = run(command)
      assert.equal(2, rc, out)
      assert.truthy(out:find(word, 1, true), out)
      assert.is_nil(out:find("traceback", 1, true), out)
    end
  end)

  it("takes values behind a sign, and words behind --", function()
    local out, rc = run("stats --db=sqlite:none.db --days=3 -- --openai")
    assert.equal(1, rc)
    assert.truthy(out:find("there is no store yet", 1, true), out)
    out, rc = run("check -- --nobody")
    assert.equal(1, rc)
    assert.truthy(out:find("unknown provider", 1, true), out)
  end)

  it("says that there are no keys", function()
    for _, command in ipairs { "agent x", "batch a b", "chat", "check" } do
      local out, rc = run(command)
      assert.equal(1, rc)
      assert.equal(("keycycle %s: no keys are set for any provider (see keycycle providers)\n")
        :format(command:match "%a+"), out)
    end
  end)

  it("works with its output closed, and fails with it full", function()
    for command, rc in pairs { providers = 0, demo = 0, ["demo --help"] = 0, ["mock -h"] = 0 } do
      assert.same({ "", rc }, { run(command .. " >&-", "KEYCYCLE_BUILD=.") })
      assert.equal(1, select(2, run(command .. " >/dev/full", "KEYCYCLE_BUILD=.")), command)
    end
  end)
end)

describe("keycycle check and providers", function()
  it("show what is wrong with the keys of one provider beside the others", function()
    local env = "NUM_GROQ=2 GROQ_API_KEY_1=gsk-0123456789abcdef "
      .. "AZURE_OPENAI_API_KEY=a0123456789abcdef"
    local out, rc = run("providers", env)
    assert.equal(0, rc)
    assert.truthy(out:find("groq: GROQ_API_KEY_2 is not set", 1, true), out)
    out, rc = run("check", env)
    assert.equal(1, rc)
    assert.truthy(out:find("groq +%- +%- +GROQ_API_KEY_2 is not set"), out)
    assert.truthy(out:find("azure_openai +%- +%- +[^\n]*resource"), out)
  end)

  it("are told when the file of keys is not there", function()
    local out, rc = run "--env nowhere.env check"
    assert.equal(1, rc)
    assert.equal("keycycle: the file nowhere.env cannot be read\n", out)
  end)
end)

describe("keycycle check", function()
  local server
  local verdicts = { ok = "ok", dead = "invalid", poor = "unpaid", spent = "limited until %d+-%d+",
    barred = "no access" }
  local ENV = ""
  setup(function()
    server = servers.canned [[
      local statuses = { ok = 200, dead = 401, poor = 402, spent = 429, barred = 403 }
      return function(request)
        local word = request.key:match "%a+$"
        return statuses[word], word == "spent" and { ["retry-after"] = "3600" } or {},
          word == "ok" and '{"data":[]}' or '{"error":{"message":"no: ' .. request.key .. '"}}'
      end]]
    own_provider("first", server.url)
    own_provider("second", server.url)
    own_provider("gone", "http://127.0.0.1:1")
    own_provider("unchecked", server.url, 'routes = { check = false }')
    local i = 0
    for word in pairs(verdicts) do
      i = i + 1
      ENV = ENV .. ("FIRST_API_KEY_%d=key-0123456789abcdef-%s "):format(i, word)
    end
  end)
  teardown(function()
    server.stop()
    os.execute("rm -rf " .. folder .. "/.config")
  end)

  it("tries all keys of all providers that have any, and shows none", function()
    local out, rc = run("check", ENV .. "SECOND_API_KEY=key-0123456789abcdef-ok "
      .. "GONE_API_KEY=key-0123456789abcdef-gone UNCHECKED_API_KEY=key-0123456789abcdef-ok")
    assert.equal(1, rc)
    for word, verdict in pairs(verdicts) do
      assert.truthy(out:find(("first +%%d +%%S*%s +%s"):format(word:sub(-2), verdict)), out)
    end
    assert.truthy(out:find "second +1 +%S+ +ok", out)
    assert.truthy(out:find "gone +1 +%S+ +unreachable", out)
    assert.truthy(out:find "unchecked +1 +%S+ +not tried", out)
    assert.is_nil(out:find("0123456789", 1, true), out)
    assert.is_nil(out:find("[\27\r]"), out)
    assert.equal(6, #server.journal())
  end)

  it("ends with 0 where every key is good", function()
    local out, rc = run("check second", ENV .. "SECOND_API_KEY=key-0123456789abcdef-ok")
    assert.equal(0, rc, out)
    assert.equal(2, select(2, out:gsub("\n", "\n")))
    out, rc = run("check openai " .. server.url, "OPENAI_API_KEY=key-0123456789abcdef-ok")
    assert.equal(0, rc, out)
    out, rc = run("check openai " .. server.url, "OPENAI_API_KEY=key-0123456789abcdef-dead")
    assert.equal(1, rc, out)
    assert.equal(1, select(2, run("check unchecked",
      "UNCHECKED_API_KEY=key-0123456789abcdef-ok")))
  end)

  it("tries several keys at once", function()
    local waiting = servers.canned [[
      return function(request) -- the first one is answered with the third
        return 200, {}, request.n == 1 and { "{}", false } or "{}", request.n == 3
      end]]
    finally(waiting.stop)
    local out, rc = run("check openai " .. waiting.url, "OPENAI_API_KEY_1=key-0123456789abcdef-a "
      .. "OPENAI_API_KEY_2=key-0123456789abcdef-b OPENAI_API_KEY_3=key-0123456789abcdef-c")
    assert.equal(0, rc, out)
  end)

  it("shows how far it is, and colours, on a terminal alone", function()
    local command = ("script -qec '%s/keycycle check second' /dev/null"):format(servers.path())
    if not os.execute "command -v script >/dev/null" then return end
    local function on_terminal(env)
      local pipe <close> = assert(io.popen(("cd %s && env -i PATH=\"$PATH\" HOME=%s TERM=xterm %s "
        .. "SECOND_API_KEY=key-0123456789abcdef-ok %s </dev/null 2>&1"):format(folder, folder, env,
        command)))
      return pipe:read "a"
    end
    local out = on_terminal ""
    assert.truthy(out:find("1 of 1", 1, true), out)
    assert.truthy(out:find("\27[32m", 1, true), out)
    assert.is_nil(on_terminal("NO_COLOR=1"):find("\27%[%d+m"))
    assert.truthy(on_terminal("NO_COLOR="):find("\27%[%d+m"))
    assert.is_nil(on_terminal("TERM=dumb"):find("[\27\r][^\n]"))
  end)
end)

describe("keycycle providers", function()
  it("lists what is loaded, from where, with keys and the dates of limits", function()
    own_provider("acme", "https://api.acme.test/v1")
    local own = folder .. "/.config/keycycle"
    files.put(own .. "/limits/acme.lua", 'return { default = {}, date = "2026-11-01" }')
    files.put(own .. "/policies/calm.lua", 'return keycycle.policy { name = "calm",\n'
      .. 'decide = function() end }')
    local out, rc = run("providers", "ACME_API_KEY_1=key-0123456789abcdef-1 "
      .. "ACME_API_KEY_2=key-0123456789abcdef-2")
    assert.equal(0, rc)
    assert.truthy(out:find("acme +ACME_API_KEY +2 +https://api.acme.test/v1 +" .. own
      .. "/providers/acme.lua +" .. own .. "/limits/acme.lua, of 2026%-11%-01\n"), out)
    assert.truthy(out:find "groq +GROQ_API_KEY +%- +https://%S+ +built in +built in, of %d+", out)
    assert.truthy(out:find("ollama +OLLAMA_API_KEY +none needed"), out)
    assert.truthy(out:find("\ncalm +" .. own .. "/policies/calm.lua\n"), out)
    assert.is_nil(out:find("0123456789", 1, true))
    os.execute("rm -rf " .. folder .. "/.config")
  end)
end)
