--- The mock's journal of bodies and headers.
local keycycle = require "keycycle"
local styles = require "tests.support.styles"

local mock
local function start(...) mock = styles.start(...) end
after_each(function() mock:stop() end)

describe("the journal of bodies", function()
  it("holds what was sent and no key", function()
    start "openai"
    mock:say("hi", { headers = { ["openai-project"] = "p" } })
    local entry = mock:journal().requests[1]
    assert.same({ model = "m", messages = { { role = "user", content = "hi" } } }, entry.body)
    assert.same({ "POST", "p", "authorization" },
      { entry.method, entry.headers["openai-project"], entry.auth })
    assert.is_nil(keycycle.json.encode(entry):find(styles.KEY, 1, true))
  end)

  it("keeps the bodies of the last requests only", function()
    start "openai"
    for _ = 1, 201 do mock:say "hi" end
    local list = mock:journal().requests
    assert.same({ 201, "nil", "table" }, { #list, type(list[1].body), type(list[2].body) })
  end)

  it("is a matter of choice", function()
    start "openai"
    mock:stop()
    mock.server = require("tests.support.servers").mock("--keys " .. styles.KEY)
    mock:say "hi"
    assert.same({ "/v1/chat/completions", nil, nil }, { mock:journal().requests[1].path,
      mock:journal().requests[1].body, mock:journal().requests[1].headers })
  end)
end)
