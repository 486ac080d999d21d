--- Neutral requests, answers and streams through each dialect's protocol and aimock,
--- which reads requests and writes answers by its own lights: a conversation with a
--- tool must be understood there as it was meant here.
local keycycle = require "keycycle"
local collect = require "keycycle.protocol.collect"
local session = require "tests.peers.session"
local servers = require "tests.support.servers"

local WEATHER = { name = "get_weather", description = "The weather", parameters = {
  type = "object", properties = { city = { type = "string" } } } }
local ARGUMENTS = { city = "Zürich", days = 3 }

describe("a neutral conversation, beside aimock", function()
  local mock
  setup(function() mock = servers.aimock "tests/peers/fixtures" end)
  teardown(function() mock.stop() end)
  before_each(function() mock.forget() end)

  -- The neutral response, of an answer or put together from a stream.
  local function converse(s, messages, streamed)
    local dialect = s.dialect
    local protocol = require("keycycle.protocol." .. dialect.protocol)
    local encoded = protocol.encode { model = dialect.model, messages = messages,
      tools = { WEATHER }, temperature = 0.5, max_tokens = 64, stream = streamed or nil }
    local answer = dialect.ask(s.client, streamed)(encoded.json)
    if not streamed then return protocol.decode(answer) end
    local whole, state = collect.new(), {}
    for event in answer do whole:add(protocol.event("message", event, state)) end
    return whole:response()
  end

  local function check_usage(response)
    assert.same({ 31, 12, 43 }, { response.usage.input_tokens, response.usage.output_tokens,
      response.usage.total_tokens })
  end

  for _, name in ipairs(session.names()) do
    for _, way in ipairs { "answers", "streams" } do
      local streamed = way == "streams"
      local s
      before_each(function() s = session.open(mock, name) end)
      after_each(function() s.wrapper:stop() end)

      it("calls a tool and hears of its result, in " .. way .. " of " .. name, function()
        local messages = { { role = "system", content = "Be brief." },
          { role = "user", content = "How is the weather?" } }
        local response = converse(s, messages, streamed)
        local call = response.tool_calls[1]
        assert.same({ 1, "get_weather", ARGUMENTS, "tool_calls" },
          { #response.tool_calls, call.name, call.arguments, response.finish_reason })
        check_usage(response)
        messages[3] = collect.message(response)
        messages[4] = { role = "tool", tool_call_id = call.id, content = "12 degrees" }
        response = converse(s, messages, streamed)
        assert.same({ "It is mild.", "stop", {} },
          { response.content, response.finish_reason, response.tool_calls })
        check_usage(response)

        local read = mock.journal()[2].body
        assert.same({ s.dialect.model, 0.5, 64, streamed }, { read.model, read.temperature,
          read.max_tokens, read.stream == true })
        local tool = read.tools[1]["function"]
        assert.same({ WEATHER.name, WEATHER.description }, { tool.name, tool.description })
        -- Gemini's parametersJsonSchema is not known there.
        if name ~= "gemini" then assert.same(WEATHER.parameters, tool.parameters) end
        local roles = {}
        for i, message in ipairs(read.messages) do roles[i] = message.role end
        assert.same({ "system", "user", "assistant", "tool" }, roles)
        assert.same({ "Be brief.", "How is the weather?" },
          { read.messages[1].content, read.messages[2].content })
        local made = read.messages[3].tool_calls[1]
        assert.equal("get_weather", made["function"].name)
        assert.same(ARGUMENTS, keycycle.json.decode(made["function"].arguments))
        assert.equal(made.id, read.messages[4].tool_call_id)
        assert.truthy(read.messages[4].content:find("12 degrees", 1, true))
      end)

      -- Cohere's mock knows no thoughts: it says them.
      if name ~= "cohere" then
        it("keeps apart what is thought and what is said, in " .. way .. " of " .. name, function()
          local response = converse(s, { { role = "user", content = "think" } }, streamed)
          assert.same({ "Forty-two.", "A question of everything.", "stop" },
            { response.content, response.reasoning, response.finish_reason })
          check_usage(response)
        end)
      end
    end
  end
end)
