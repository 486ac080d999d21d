--- A tier, named in a program or in the environment, decides how much a key is used.
local servers = require "tests.support.servers"

local code = [[
local keycycle = require "keycycle"
local wrapper <close> = keycycle.MultiClientWrapper.new {}
wrapper:register_provider("groq", { base_url = arg[1], keys = { { api_key = arg[2],
  tier = arg[3] } }, default_model = "openai/gpt-oss-120b" })
local client = wrapper:get_rotating_client("groq", { wait = false, max_retries = 0,
  estimated_tokens = 1 })
local served = 0
while served < 40 do
  local ok, err = pcall(client.chat.completions.create,
    { messages = { { role = "user", content = "Hi" } } })
  if not ok then
    print(served, err.code, err.message:match "[%w_]+_per_%w+")
    return
  end
  served = served + 1
end
print(served)
]]

describe("a key on a real server", function()
  local mock
  setup(function() mock = servers.mock "--keys sk-mock-aaaaaaaaaaaaaaaa-1 --no-limit-headers" end)
  teardown(function() mock.stop() end)

  local function served(tier, env)
    local out, rc = servers.host(code, mock.url .. " sk-mock-aaaaaaaaaaaaaaaa-1 " .. (tier or ""),
      env or "")
    assert.equal(0, rc, out)
    return (out:gsub("%s+", " "))
  end

  it("is used as much as its plan lets, and no more", function()
    assert.equal("30 limited requests_per_minute ", served())
    assert.equal("40 ", served("developer"))
    assert.equal("40 ", served(nil, "GROQ_TIER=developer"))
    assert.equal("30 limited requests_per_minute ", served("free", "GROQ_TIER=developer"))
  end)

  it("is not used at all on a plan that nobody knows", function()
    local out, rc = servers.host(code, mock.url .. " sk-mock-aaaaaaaaaaaaaaaa-1", "GROQ_TIER=gold")
    assert.equal(1, rc)
    assert.truthy(out:find("GROQ_TIER names the tier \"gold\"", 1, true), out)
    assert.truthy(out:find("developer, free", 1, true), out)
  end)
end)
