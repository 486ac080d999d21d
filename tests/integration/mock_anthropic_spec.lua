--- The mock in Anthropic's style: what it answers, streams and refuses.
local keycycle = require "keycycle"
local styles = require "tests.support.styles"

local SCHEMA = { type = "object", required = { "city", "days" }, properties = {
  city = { type = "string" }, days = { type = "integer" }, hint = { type = "string" } } }
local ARGUMENTS = { city = "x", days = 1 }

local mock
local function start(...) mock = styles.start(...) end
after_each(function() mock:stop() end)

local function types_of(events)
  local list = {}
  for i, event in ipairs(events) do list[i] = event.data.type or event.data end
  return list
end

describe("the style anthropic", function()
  local tools = { { name = "weather", input_schema = SCHEMA } }
  local function ask(messages, more)
    local body = { model = "m", max_tokens = 100, messages = type(messages) == "table" and messages
      or { { role = "user", content = messages } } }
    for k, v in pairs(more or {}) do body[k] = v or nil end
    return mock:send("/v1/messages", body)
  end

  it("answers with blocks, and with input tokens beside those of the cache", function()
    start "anthropic"
    local body = ask("mock:cached=3", { system = "Be brief." }).json
    assert.same({ "message", "assistant", "end_turn", "text", "You said: mock:cached=3" },
      { body.type, body.role, body.stop_reason, body.content[1].type, body.content[1].text })
    local key, usage = mock:journal().keys[1], body.usage
    assert.same({ key.input_tokens - 3, 3, 0, key.output_tokens, nil }, { usage.input_tokens,
      usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens,
      usage.total_tokens })
    assert.equal("max_tokens", ask("long enough", { max_tokens = 2 }).json.stop_reason)
    local stopped = ask("a stop", { stop_sequences = { "stop" } }).json
    assert.same({ "stop_sequence", "stop" }, { stopped.stop_reason, stopped.stop_sequence })
  end)

  it("wants its version, max_tokens and no system among the messages", function()
    start "anthropic"
    local function refused(answer, text)
      assert.same({ 400, "error", "invalid_request_error", text }, { answer.status,
        answer.json.type, answer.json.error.type, answer.json.error.message })
    end
    refused(mock:say("hi", { headers = { ["anthropic-version"] = false } }),
      "anthropic-version: header is required")
    refused(ask("hi", { max_tokens = false }), "max_tokens: Field required")
    refused(ask { { role = "system", content = "x" } }, 'messages: Unexpected role "system". The '
      .. 'Messages API accepts a top-level `system` parameter, not "system" as an input message '
      .. "role.")
    refused(ask { { role = "tool", content = "x" } },
      "messages.0.role: Input should be 'user' or 'assistant'")
    refused(ask { { role = "user", content = "" } },
      "messages: text content blocks must be non-empty")
    assert.equal(400, ask("hi", { tools = { { name = "f", parameters = {} } } }).status)
    assert.equal(400, ask("hi", { tool_choice = "auto" }).status)
    local missing = mock:send("/v1/messages", {}, { headers = { ["x-api-key"] = false } })
    assert.same({ 401, "x-api-key header is required" },
      { missing.status, missing.json.error.message })
  end)

  it("takes a key as a bearer's, too", function()
    start "anthropic"
    assert.equal(200, mock:say("hi", { headers = { ["x-api-key"] = false,
      authorization = "Bearer " .. styles.KEY } }).status)
    assert.equal("authorization", mock:journal().requests[1].auth)
  end)

  it("streams named events", function()
    start "anthropic"
    local answer = mock:stream "one two three four"
    assert.equal("text/event-stream", answer.headers["content-type"])
    assert.same({ "message_start", "content_block_start", "ping", "content_block_delta",
      "content_block_delta", "content_block_stop", "message_delta", "message_stop" },
      types_of(answer.events))
    local events, key = answer.events, mock:journal().keys[1]
    assert.equal("event: message_start\ndata: {", answer.body:sub(1, 28))
    assert.same({ key.input_tokens, "You said: one", " two three four", "end_turn",
      key.output_tokens }, { events[1].data.message.usage.input_tokens, events[4].data.delta.text,
      events[5].data.delta.text, events[7].data.delta.stop_reason,
      events[7].data.usage.output_tokens })
  end)

  it("calls tools with objects, and in pieces of JSON", function()
    start "anthropic"
    local body = ask("mock:tool", { tools = tools }).json
    local call = body.content[1]
    assert.same({ "tool_use", "tool_use", "weather", ARGUMENTS },
      { body.stop_reason, call.type, call.name, call.input })
    local history = { { role = "user", content = "mock:tool" },
      { role = "assistant", content = body.content },
      { role = "user", content = { { type = "tool_result", tool_use_id = call.id,
        content = "rain" } } } }
    assert.equal("The tool weather said: rain", ask(history, { tools = tools }).json.content[1]
      .text)
    history[3].content[1].tool_use_id = "another"
    assert.equal(400, ask(history, { tools = tools }).status)
    local json, begun = {}, nil
    for _, event in ipairs(styles.events(ask("mock:tool=weather", { tools = tools, stream = true })
      .body)) do
      if event.type == "content_block_start" then begun = event.data.content_block end
      local delta = event.data.delta
      json[#json + 1] = delta and delta.type == "input_json_delta" and delta.partial_json or nil
    end
    assert.same({ "tool_use", "weather", {} }, { begun.type, begun.name, begun.input })
    assert.same(ARGUMENTS, keycycle.json.decode(table.concat(json)))
    assert.equal("tool_use", ask("hi", { tools = tools, tool_choice = { type = "any" } }).json
      .stop_reason)
  end)

  it("tells its limits by instants, the input's and output's apart", function()
    start("anthropic", "--rpm 50 --itpm 30000 --otpm 8000")
    mock:say "hi"
    mock:advance(20)
    local h = mock:say("hi").headers
    assert.same({ "50", "48", "2001-09-09T01:47:40Z", "30000", "8000", nil, nil },
      { h["anthropic-ratelimit-requests-limit"], h["anthropic-ratelimit-requests-remaining"],
        h["anthropic-ratelimit-requests-reset"], h["anthropic-ratelimit-input-tokens-limit"],
        h["anthropic-ratelimit-output-tokens-limit"], h["anthropic-ratelimit-tokens-limit"],
        h["retry-after"] })
    assert.equal("req_mock2", h["request-id"])
    mock:stop()
    start("anthropic", "--itpm 10")
    local refused = mock:say(("long "):rep(20))
    assert.same({ 429, "60" }, { refused.status, refused.headers["retry-after"] })
    assert.truthy(refused.json.error.message:find("of 10 input tokens per minute", 1, true))
  end)

  it("counts tokens and lists models", function()
    start "anthropic"
    local said = mock:send("/v1/messages/count_tokens", { model = "m",
      messages = { { role = "user", content = "hi" } } })
    assert.equal(5, said.json.input_tokens)
    assert.equal("model", mock:send("/v1/models").json.data[1].type)
  end)
end)
