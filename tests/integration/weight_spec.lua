--- What the module costs a program that asks for little of it: memory and bytes; `make
--- bench` has the times.
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local build = servers.path()

local function output(...)
  local pipe <close> = assert(io.popen((...):format(select(2, ...))))
  return pipe:read "a"
end

-- What the stock lua5.4 prints, which a sanitized module cannot be loaded into.
local function run(code)
  return files.with(code, function(path)
    return output("LUA_INIT= LUA_PATH= LUA_CPATH='%s/?.so' lua5.4 %s 2>&1", build, path)
  end)
end

describe("requiring the module #plain", function()
  it("takes less than 400 KiB of Lua's memory, garbage and all", function()
    local said = run [[
      collectgarbage() collectgarbage "stop"
      local before = collectgarbage "count"
      require "keycycle"
      print(collectgarbage "count" - before)]]
    local kib = assert(tonumber(said), said)
    assert.is_true(kib > 10 and kib < 400, kib)
  end)

  it("loads nothing that calls are made of, and lists all the same", function()
    local said = run [[
      local keycycle = require "keycycle"
      local n = 0
      for name, value in pairs(keycycle) do
        assert(type(name) == "string" and value == keycycle[name])
        n = n + 1
      end
      for _, name in ipairs { "config", "wrapper", "call", "provider", "loader", "agent" } do
        if package.loaded["keycycle." .. name] then print(name) end
      end
      print(n, keycycle.OpenAI == keycycle.OpenAI, keycycle.OpenAI == keycycle.AsyncOpenAI)]]
    local n, same, other = said:match "^(%d+)\t(%a+)\t(%a+)\n$"
    assert.same({ "true", "false" }, { same, other }, said)
    assert.is_true(tonumber(n) > 70, n)
  end)
end)

describe("a client #plain", function()
  it("is made without what few programs use", function()
    local said = run [[
      local keycycle = require "keycycle"
      local wrapper = keycycle.MultiClientWrapper.new { scripts = false }
      wrapper:register_provider("groq", { keys = { "sk-test-weight-0001" } })
      wrapper:get_rotating_client("groq", keycycle.OpenAI)
      for _, name in ipairs { "agent", "foreign", "model", "model.fallback", "loader", "simulate",
        "report", "store.data", "call.multipart", "protocol.neutral" } do
        if package.loaded["keycycle." .. name] then print(name) end
      end
      print(package.loaded["keycycle.call"] ~= nil) -- a call finds all of its parts]]
    assert.equal("true\n", said)
  end)
end)

describe("the library without its symbols #plain", function()
  it("is less than 700 KiB", function()
    local path = os.tmpname()
    local size = output("strip -o %s %s/keycycle.so && stat -c %%s %s", path, build, path)
    os.remove(path)
    assert.is_true(tonumber(size) > 100 * 1024 and tonumber(size) < 700 * 1024, size)
  end)
end)
