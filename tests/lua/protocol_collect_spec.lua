local collect = require "keycycle.protocol.collect"

local function response_of(chunks)
  local collector = collect.new()
  for _, chunk in ipairs(chunks) do collector:add(chunk) end
  return collector:response()
end

describe("a collector #pure", function()
  it("makes a response of nothing", function()
    local response = response_of {}
    assert.same({ content = "", tool_calls = {} }, response)
  end)

  it("joins texts and thoughts, and keeps the last of all else", function()
    local collector = collect.new()
    collector:add { text = "Hel", usage = { total_tokens = 1 }, raw = 1 }
    collector:add(nil)
    collector:add { text = "lo", reasoning = "h" }
    collector:add { reasoning = "m", finish_reason = "stop", id = "i", model = "m",
      extra = { x = 1 }, usage = { total_tokens = 2 }, raw = 2 }
    assert.same({ content = "Hello", reasoning = "hm", tool_calls = {}, finish_reason = "stop",
      id = "i", model = "m", extra = { x = 1 }, usage = { total_tokens = 2 }, raw = 2 },
      collector:response())
  end)

  it("joins the pieces of each call, in the order of their places", function()
    local response = response_of {
      { tool_call = { index = 2, id = "b", name = "g", arguments = "{}" } },
      { tool_call = { index = 1, id = "a", name = "f", arguments = '{"x":' } },
      { tool_calls = { { index = 1, arguments = "[1" }, { index = 1, arguments = "]}" } } },
    }
    assert.same({ { id = "a", name = "f", arguments = { x = { 1 } } },
      { id = "b", name = "g", arguments = {} } }, response.tool_calls)
  end)

  it("keeps what is no JSON object as text", function()
    for _, text in ipairs { "{", "[1]", "5", '{"a":1} x' } do
      local call = response_of({ { tool_call = { index = 1, id = "a", name = "f",
        arguments = text } } }).tool_calls[1]
      assert.same({ {}, text }, { call.arguments, call.arguments_text })
    end
  end)

  it("leaves out a call without a name, and names one without an id", function()
    assert.same({ { id = "call_1", name = "f", arguments = {} } }, response_of({
      { tool_call = { index = 1, arguments = "{}" } },
      { tool_call = { index = 2, name = "f", arguments = "" } } }).tool_calls)
  end)
end)

describe("the message that a response becomes #pure", function()
  it("has what its dialect needs to go on", function()
    assert.same({ role = "assistant", content = "a", reasoning = "r", extra = { x = 1 },
      tool_calls = { { id = "1", name = "f", arguments = {} } } },
      collect.message { content = "a", reasoning = "r", extra = { x = 1 }, id = "i",
        tool_calls = { { id = "1", name = "f", arguments = {} } } })
    assert.is_nil(collect.message({ content = "a", tool_calls = {} }).tool_calls)
  end)
end)
