--- The mock in the styles of Cohere and TwelveLabs: what it answers, streams and refuses.
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

describe("the style cohere", function()
  local tools = { { type = "function", ["function"] = { name = "weather", parameters = SCHEMA } } }
  local function ask(messages, more)
    local body = { model = "m", messages = type(messages) == "table" and messages
      or { { role = "user", content = messages } } }
    for k, v in pairs(more or {}) do body[k] = v end
    return mock:send("/v2/chat", body)
  end

  it("answers with content; what is billed is less than what was used", function()
    start "cohere"
    local body = ask("hi").json
    assert.same({ "COMPLETE", "assistant", "text", "You said: hi" }, { body.finish_reason,
      body.message.role, body.message.content[1].type, body.message.content[1].text })
    local key = mock:journal().keys[1]
    assert.same({ input_tokens = key.input_tokens, output_tokens = key.output_tokens },
      body.usage.tokens)
    assert.same({ input_tokens = 5, output_tokens = key.output_tokens }, body.usage.billed_units)
    assert.equal("MAX_TOKENS", ask("long enough", { max_tokens = 2 }).json.finish_reason)
  end)

  it("streams typed events", function()
    start "cohere"
    local events = mock:stream("one two three four").events
    assert.same({ "message-start", "content-start", "content-delta", "content-delta",
      "content-end", "message-end", "[DONE]" }, types_of(events))
    assert.same({ " two three four", "COMPLETE" }, { events[4].data.delta.message.content.text,
      events[6].data.delta.finish_reason })
    assert.equal(mock:journal().keys[1].input_tokens,
      events[6].data.delta.usage.tokens.input_tokens)
  end)

  it("plans and calls tools", function()
    start "cohere"
    local body = ask("mock:tool", { tools = tools }).json
    local call = body.message.tool_calls[1]
    assert.same({ "TOOL_CALL", "weather", "I will use a tool." },
      { body.finish_reason, call["function"].name, body.message.tool_plan })
    assert.same(ARGUMENTS, keycycle.json.decode(call["function"].arguments))
    local history = { { role = "user", content = "mock:tool" }, body.message,
      { role = "tool", tool_call_id = call.id, content = { { type = "document",
        document = { data = "rain" } } } } }
    assert.equal("The tool weather said: rain",
      ask(history, { tools = tools }).json.message.content[1].text)
    history[3].tool_call_id = "another"
    assert.equal(400, ask(history, { tools = tools }).status)
    local events = styles.events(ask("mock:tool", { tools = tools, stream = true }).body)
    assert.same({ "message-start", "tool-plan-delta", "tool-call-start", "tool-call-delta",
      "tool-call-delta", "tool-call-end", "message-end", "[DONE]" }, types_of(events))
    local function arguments(i)
      return events[i].data.delta.message.tool_calls["function"].arguments
    end
    assert.same(ARGUMENTS, keycycle.json.decode(arguments(3) .. arguments(4) .. arguments(5)))
  end)

  it("refuses what is not Cohere's, in a flat body", function()
    start "cohere"
    for _, more in ipairs { { stream_options = {} }, { tool_choice = "auto" },
      { messages = {} } } do
      local answer = ask("hi", more)
      assert.equal(400, answer.status)
      assert.same({ "string", "string", nil }, { type(answer.json.message), type(answer.json.id),
        answer.json.error })
    end
    assert.equal(400, ask({ { role = "chatbot", content = "x" } }).status)
    assert.equal(405, mock:send("/v2/chat").status)
  end)

  it("tells the trial's limits on answers only", function()
    start("cohere", "--rpm 2 --rpd 1000")
    mock:say "hi"
    local h, refused = mock:say("hi").headers, mock:say "hi"
    assert.same({ "1000", "2", "0" }, { h["x-endpoint-monthly-call-limit"],
      h["x-trial-endpoint-call-limit"], h["x-trial-endpoint-call-remaining"] })
    assert.same({ 429, nil, nil }, { refused.status,
      refused.headers["x-trial-endpoint-call-limit"], refused.headers["retry-after"] })
    mock:stop()
    start("cohere", "--tpm 10")
    assert.equal("trial token rate limit exceeded, limit is 10 tokens per minute",
      mock:say("hi").json.message)
  end)

  it("embeds, ranks, lists and checks keys", function()
    start "cohere"
    local body = { model = "e", input_type = "search_query", texts = { "one", "two" },
      embedding_types = { "float" } }
    local answer = mock:send("/v2/embed", body).json
    assert.same({ 2, 2 }, { #answer.embeddings.float, answer.meta.billed_units.input_tokens })
    body.input_type = nil
    assert.equal(400, mock:send("/v2/embed", body).status)
    local rank = { model = "r", query = "red fish", documents = { "a blue bird", "a red bird",
      "a red fish" }, top_n = 2 }
    answer = mock:send("/v2/rerank", rank).json
    assert.same({ { index = 2, relevance_score = 1.0 }, { index = 1, relevance_score = 0.5 } },
      answer.results)
    assert.equal(1, answer.meta.billed_units.search_units)
    rank.documents = { { text = "x" } }
    assert.equal(400, mock:send("/v2/rerank", rank).status)
    assert.truthy(mock:send("/v1/models").json.models[1].name)
    assert.is_true(mock:send("/v1/check-api-key", "").json.valid)
    assert.same({ "one", " two" }, mock:send("/v1/tokenize", { model = "m", text = "one two" })
      .json.token_strings)
    local form, headers = styles.form { { "model", "w" }, { "file", "abc", "a.wav" } }
    assert.equal("3 bytes", mock:send("/v2/audio/transcriptions", form,
      { headers = headers }).json.text)
  end)
end)

describe("the style twelvelabs", function()
  it("analyses whole, and streams lines of JSON unless it is told not to", function()
    start "twelvelabs"
    local body = mock:say("hi").json
    assert.same({ "You said: hi", "stop", mock:journal().keys[1].output_tokens },
      { body.data, body.finish_reason, body.usage.output_tokens })
    local answer = mock:send("/v1.3/analyze", { video_id = "v", prompt = "one two three four" })
    assert.equal("application/x-ndjson", answer.headers["content-type"])
    local kinds, events = {}, styles.events(answer.body)
    for i, event in ipairs(events) do kinds[i] = event.data.event_type end
    assert.same({ "stream_start", "text_generation", "text_generation", "stream_end" }, kinds)
    assert.same({ "stop", 7 }, { events[4].data.finish_reason,
      events[4].data.metadata.usage.output_tokens })
    assert.equal(400, mock:send("/v1.3/analyze", { prompt = "x" }).status)
  end)

  it("searches by a form", function()
    start "twelvelabs"
    local body, headers = styles.form { { "index_id", "idx-1" }, { "search_options", "visual" },
      { "search_options", "audio" }, { "query_text", "a red fish" }, { "page_limit", "2" } }
    local found = mock:send("/v1.3/search", body, { headers = headers }).json
    assert.same({ 2, "idx-1", 1 }, { #found.data, found.search_pool.index_id, found.data[1].rank })
    local written = mock:journal().requests[1].body
    assert.same({ name = "search_options", value = "audio" }, written[3])
    body, headers = styles.form { { "query_text", "x" }, { "search_options", "visual" } }
    assert.equal(400, mock:send("/v1.3/search", body, { headers = headers }).status)
    assert.equal(400, mock:send("/v1.3/search", { index_id = "x" }).status)
  end)

  it("has indexes and tasks", function()
    start "twelvelabs"
    assert.equal("mock-index", mock:send("/v1.3/indexes").json.data[1]._id)
    assert.equal("idx-1", mock:send("/v1.3/indexes/idx-1").json._id)
    local body, headers = styles.form { { "index_id", "idx-1" }, { "video_file", "abc", "a.mp4" } }
    local task = mock:send("/v1.3/tasks", body, { headers = headers }).json
    assert.equal("ready", mock:send("/v1.3/tasks/" .. task._id).json.status)
    body, headers = styles.form { { "index_id", "idx-1" } }
    assert.equal(400, mock:send("/v1.3/tasks", body, { headers = headers }).status)
    assert.same({}, mock:send("/v1.3/search/next").json.data)
  end)

  it("embeds, and tells a delay there", function()
    start("twelvelabs", "--rpm 1")
    local body = { input_type = "text", model_name = "marengo3.0", text = { input_text = "x" } }
    local answer = mock:send("/v1.3/embed-v2", body)
    assert.equal(16, #answer.json.data[1].embedding)
    local h = answer.headers
    assert.same({ "1", "0", "1", "1000000060" }, { h["x-ratelimit-limit"],
      h["x-ratelimit-remaining"], h["x-ratelimit-used"], h["x-ratelimit-reset"] })
    local refused = mock:send("/v1.3/embed-v2", body).json.error
    assert.same({ "RATE_LIMIT_EXCEEDED", "60", "1 requests per minute" },
      { refused.code, refused.details.retryAfter, refused.details.currentLimit })
    assert.equal("", mock:say("hi").body)
  end)
end)
