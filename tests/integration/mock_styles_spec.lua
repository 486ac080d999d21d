--- The mock in OpenAI's style and in those of its relatives: answers, streams, tools,
--- headers and what it refuses, as the providers have them.
local keycycle = require "keycycle"
local styles = require "tests.support.styles"

local TOOLS = { { type = "function", ["function"] = { name = "weather", parameters = {
  type = "object", required = { "city", "days", "units" }, properties = {
    city = { type = "string" }, days = { type = "integer" }, hint = { type = "string" },
    units = { type = "string", enum = { "celsius", "kelvin" } } } } } },
  { type = "function", ["function"] = { name = "clock", parameters = { type = "object" } } } }
local ARGUMENTS = { city = "x", days = 1, units = "celsius" }

local mock
local function start(...) mock = styles.start(...) end
after_each(function() mock:stop() end)

local function chat(text, more, path)
  local body = { model = "m", messages = type(text) == "table" and text
    or { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return mock:send(path or mock.style.chat, body)
end

-- A stream's whole text, its joined calls, its finish reason and its chunks.
local function joined(answer)
  local text, calls, reason, chunks = {}, {}, nil, styles.events(answer.body)
  for _, event in ipairs(chunks) do
    local choice = type(event.data) == "table" and event.data.choices and event.data.choices[1]
    local delta = choice and choice.delta or {}
    if type(delta.content) == "string" then text[#text + 1] = delta.content end
    for _, piece in ipairs(delta.tool_calls or {}) do
      local call = calls[piece.index + 1] or { arguments = "" }
      calls[piece.index + 1] = call
      call.id, call.name = call.id or piece.id, call.name or piece["function"].name
      call.arguments = call.arguments .. piece["function"].arguments
    end
    if choice and type(choice.finish_reason) == "string" then reason = choice.finish_reason end
  end
  return table.concat(text), calls, reason, chunks
end

for _, name in ipairs { "openai", "groq", "cerebras", "openrouter", "azure",
  "gemini_openai" } do
  describe("the style " .. name, function()
    it("answers in OpenAI's shape and says what it used", function()
      start(name)
      local body = chat("mock:cached=2 mock:reasoning=3").json
      assert.same({ "chat.completion", "You said: mock:cached=2 mock:reasoning=3", "stop",
        "assistant" }, { body.object, body.choices[1].message.content,
        body.choices[1].finish_reason, body.choices[1].message.role })
      local usage, key = body.usage, mock:journal().keys[1]
      assert.same({ key.input_tokens, key.output_tokens, key.total_tokens, 2, 3 },
        { usage.prompt_tokens, usage.completion_tokens, usage.total_tokens,
          usage.prompt_tokens_details.cached_tokens,
          usage.completion_tokens_details.reasoning_tokens })
      assert.equal("length", chat("too long", { max_tokens = 2 }).json.choices[1].finish_reason)
      assert.equal("You said: a ", chat("a stop", { stop = "stop" }).json.choices[1].message
        .content)
    end)

    it("streams the same, ended by [DONE]", function()
      start(name)
      local text, _, reason, chunks = joined(chat("one two three four", { stream = true }))
      assert.same({ "You said: one two three four", "stop", "[DONE]" },
        { text, reason, chunks[#chunks].data })
      assert.equal(1, mock:journal().keys[1].streams)
    end)

    it("calls tools, whole and in pieces, and says what they answered", function()
      start(name)
      local message = chat("mock:tool=weather mock:tool=clock", { tools = TOOLS }).json.choices[1]
      local calls = message.message.tool_calls
      assert.same({ "tool_calls", "function", "weather", "clock", "{}" }, { message.finish_reason,
        calls[1].type, calls[1]["function"].name, calls[2]["function"].name,
        calls[2]["function"].arguments })
      assert.same(ARGUMENTS, keycycle.json.decode(calls[1]["function"].arguments))
      local _, pieces, reason = joined(chat("mock:tool", { tools = TOOLS, stream = true }))
      assert.same({ "weather", "tool_calls", 1 }, { pieces[1].name, reason, #pieces })
      assert.same(ARGUMENTS, keycycle.json.decode(pieces[1].arguments))
      local history = { { role = "user", content = "mock:tool" }, { role = "assistant",
        content = keycycle.json.null, tool_calls = calls },
        { role = "tool", tool_call_id = calls[2].id, content = "noon" } }
      assert.equal("The tool clock said: noon",
        chat(history, { tools = TOOLS }).json.choices[1].message.content)
      history[3].tool_call_id = "another"
      assert.equal(400, chat(history, { tools = TOOLS }).status)
      assert.equal("You said: mock:tool", chat("mock:tool").json.choices[1].message.content)
      assert.is_nil(chat("mock:tool", { tools = TOOLS, tool_choice = "none" }).json.choices[1]
        .message.tool_calls)
      assert.equal("clock", chat("hi", { tools = TOOLS, tool_choice = { type = "function",
        ["function"] = { name = "clock" } } }).json.choices[1].message.tool_calls[1]["function"]
        .name)
    end)

    it("answers in a schema", function()
      start(name)
      local text = chat("hi", { response_format = { type = "json_schema", json_schema = {
        name = "s", schema = { type = "object", required = { "n" },
          properties = { n = { type = "array", items = { type = "number" } } } } } } })
        .json.choices[1].message.content
      assert.equal('{"n":[1]}', text)
    end)

    it("refuses what is not OpenAI's", function()
      start(name)
      for _, wrong in ipairs { { { role = "robot", content = "hi" } },
        { { role = "user", content = { { type = "txt", text = "hi" } } } },
        { { role = "user", content = 7 } },
        { { role = "assistant", tool_calls = { { id = "a", type = "function",
          ["function"] = { name = "f", arguments = {} } } } } } } do
        local answer = chat(wrong)
        assert.equal(400, answer.status)
        local body = answer.json[1] or answer.json
        local message = body.message or body.error.message
        assert.truthy(message:find("^Invalid"), message)
      end
      assert.equal(400, chat("hi", { max_tokens = 0 }).status)
      assert.equal(400, chat("hi", { tools = { { type = "function", name = "flat" } } }).status)
      assert.equal(400, mock:send(mock.style.chat, "{").status)
      assert.equal(404, mock:send("/nowhere", "{}").status)
      local status = mock:send(mock.style.chat).status
      assert.is_true(status == 405 or name == "gemini_openai" and status == 404)
    end)
  end)
end

describe("the usage of a stream", function()
  local function chunks_of(name, more)
    start(name)
    local body = { stream = true }
    for k, v in pairs(more or {}) do body[k] = v end
    local _, _, _, chunks = joined(chat("hi", body))
    mock:stop()
    return chunks[#chunks - 1].data, chunks[#chunks - 2].data, chunks
  end
  local ON = { stream_options = { include_usage = true } }

  it("comes on demand in a chunk without choices (openai, azure)", function()
    for _, name in ipairs { "openai", "azure" } do
      assert.is_nil(chunks_of(name).usage)
      local last = chunks_of(name, ON)
      assert.same({}, last.choices)
      assert.equal(last.usage.total_tokens, last.usage.prompt_tokens
        + last.usage.completion_tokens)
    end
  end)

  it("comes always, with its cost (openrouter), after a comment", function()
    local last, before, chunks = chunks_of "openrouter"
    assert.same({ {}, 0.0001, "stop" }, { last.choices, last.usage.cost,
      before.choices[1].native_finish_reason })
    assert.equal("Mock", chunks[1].data.provider)
    start "openrouter"
    assert.equal(": OPENROUTER PROCESSING\n\ndata: {", chat("hi", { stream = true }).body
      :sub(1, 32))
  end)

  it("comes in the last chunk (cerebras)", function()
    local last = chunks_of "cerebras"
    assert.same({ "stop", "number", "table" }, { last.choices[1].finish_reason,
      type(last.usage.total_tokens), type(last.time_info) })
  end)

  it("comes in x_groq always, at the top on demand (groq)", function()
    local last = chunks_of "groq"
    assert.same({ "stop", "number", "nil" }, { last.choices[1].finish_reason,
      type(last.x_groq.usage.total_tokens), type(last.usage) })
    local top, before = chunks_of("groq", ON)
    assert.equal(before.x_groq.usage.total_tokens, top.usage.total_tokens)
  end)

  it("is preceded by what the filters say (azure)", function()
    local _, _, chunks = chunks_of "azure"
    assert.same({ {}, "safe" }, { chunks[1].data.choices,
      chunks[1].data.prompt_filter_results[1].content_filter_results.hate.severity })
  end)
end)

describe("the limits in headers", function()
  local ALL = "--rpm 40 --rpd 14400 --tpm 6000 --tpd 500000"
  local function headers(name, options)
    start(name, options or ALL)
    mock:say "hi"
    mock:advance(20.5)
    local found = mock:say("hi").headers
    mock:stop()
    local limits = {}
    for k, v in pairs(found) do
      if k:find "ratelimit" or k:find "call%-" then limits[k:gsub("^x%-ratelimit%-", "")] = v end
    end
    return limits
  end

  it("are the minute's, reset as a Go duration (openai)", function()
    local h = headers "openai"
    assert.same({ "40", "38", "39.5s", "6000", "39.5s", nil }, { h["limit-requests"],
      h["remaining-requests"], h["reset-requests"], h["limit-tokens"], h["reset-tokens"],
      h["retry-after"] })
  end)

  it("are the day's requests and the minute's tokens (groq)", function()
    local h = headers "groq"
    assert.same({ "14400", "14398", "23h59m39.5s", "6000", "39.5s" }, { h["limit-requests"],
      h["remaining-requests"], h["reset-requests"], h["limit-tokens"], h["reset-tokens"] })
  end)

  it("name their windows, reset in seconds with a fraction (cerebras)", function()
    local h = headers "cerebras"
    assert.same({ "14400", "14398", "86379.500000", "6000", "39.500000" },
      { h["limit-requests-day"], h["remaining-requests-day"], h["reset-requests-day"],
        h["limit-tokens-minute"], h["reset-tokens-minute"] })
  end)

  it("have a period (azure)", function()
    local h = headers "azure"
    assert.same({ "40", "38", "60", "39500" }, { h["limit-requests"], h["remaining-requests"],
      h["renewalperiod-requests"], h["reset-requests"] })
  end)

  it("are missing on an answer (openrouter)", function()
    assert.same({}, headers "openrouter")
  end)

  it("may be kept secret (all)", function()
    for _, name in ipairs(styles.names) do
      assert.same({}, headers(name, ALL .. " --no-limit-headers"))
    end
  end)
end)

describe("a token limit that one request alone exceeds", function()
  it("is a matter of the request", function()
    start("groq", "--tpm 10")
    local answer = mock:say(("long "):rep(20))
    assert.same({ 413, "tokens", "rate_limit_exceeded" },
      { answer.status, answer.json.error.type, answer.json.error.code })
    assert.truthy(answer.json.error.message:find(
      "^Request too large for model `m` in organization `org_mock` service tier `on_demand` on "
      .. "tokens per minute %(TPM%): Limit 10, Requested %d+, please reduce"))
    mock:stop()
    start("openai", "--tpm 10")
    answer = mock:say(("long "):rep(20))
    assert.same({ 429, "tokens" }, { answer.status, answer.json.error.type })
    assert.is_nil(answer.headers["retry-after"])
    assert.truthy(answer.json.error.message:find "^Request too large for m ")
  end)
end)

describe("the other endpoints", function()
  it("embed", function()
    for path, name in pairs { ["/v1"] = "openai", ["/openai/v1"] = "groq",
      ["/api/v1"] = "openrouter" } do
      start(name)
      local body = mock:send(path .. "/embeddings", { model = "e", input = { "one", "two" },
        dimensions = 3 }).json
      assert.same({ 2, "embedding", 1, 3 }, { #body.data, body.data[1].object, body.data[2].index,
        #body.data[2].embedding })
      assert.equal(body.usage.prompt_tokens, mock:journal().keys[1].total_tokens)
      mock:stop()
    end
    start "azure"
    assert.equal(200, mock:send("/openai/deployments/e/embeddings?api-version=1",
      { input = "x" }).status)
    assert.equal(404, mock:send("/openai/deployments/e/embeddings", { input = "x" }).status)
  end)

  it("list models", function()
    for path, name in pairs { ["/v1"] = "cerebras", ["/openai/v1"] = "groq",
      ["/api/v1"] = "openrouter" } do
      start(name)
      assert.equal("list", mock:send(path .. "/models").json.object)
      mock:stop()
    end
    start "openrouter"
    assert.is_true(mock:send("/api/v1/key").json.data.is_free_tier)
  end)

  it("take a file and tell its size", function()
    for path, name in pairs { ["/v1"] = "openai", ["/openai/v1"] = "groq" } do
      start(name)
      local audio = ("\0\r\n--mar\255"):rep(20000)
      local body, headers = styles.form { { "model", "whisper" }, { "file", audio, "a.wav" } }
      local answer = mock:send(path .. "/audio/transcriptions", body, { headers = headers })
      assert.equal(#audio .. " bytes", answer.json.text)
      local entry = mock:journal().requests[1]
      assert.same({ { name = "model", value = "whisper" }, { name = "file", filename = "a.wav",
        size = #audio, content_type = "audio/wav" } }, entry.body)
      body, headers = styles.form { { "file", audio, "a.wav" } }
      assert.equal(400, mock:send(path .. "/audio/transcriptions", body,
        { headers = headers }).status)
      assert.equal(400, mock:send(path .. "/audio/transcriptions", body:sub(1, -3),
        { headers = headers }).status)
      assert.equal(400, mock:send(path .. "/audio/transcriptions", "{}").status)
      mock:stop()
    end
    start "openai"
    local body, headers = styles.form { { "model", "w" }, { "response_format", "text" },
      { "file", "", "a.wav" } }
    assert.equal("0 bytes\n", mock:send("/v1/audio/transcriptions", body,
      { headers = headers }).body)
  end)
end)

describe("OpenAI's responses", function()
  local function respond(input, more)
    local body = { model = "m", input = input }
    for k, v in pairs(more or {}) do body[k] = v end
    return mock:send("/v1/responses", body)
  end
  local tools = { { type = "function", name = "weather",
    parameters = TOOLS[1]["function"].parameters } }

  it("answer with items and usage", function()
    start "openai"
    local body = respond({ { role = "user", content = { { type = "input_text", text = "hi" } } } })
      .json
    assert.same({ "response", "completed", "message", "output_text", "You said: hi" },
      { body.object, body.status, body.output[1].type, body.output[1].content[1].type,
        body.output[1].content[1].text })
    assert.equal(body.usage.total_tokens, body.usage.input_tokens + body.usage.output_tokens)
    local cut = respond("a long text", { max_output_tokens = 1 }).json
    assert.same({ "incomplete", "max_output_tokens" },
      { cut.status, cut.incomplete_details.reason })
    assert.equal(400, respond("hi", { messages = {} }).status)
    assert.equal(400, mock:send("/v1/responses", { model = "m" }).status)
    local missing = respond "mock:fault=not_found"
    assert.same({ 400, "model_not_found" }, { missing.status, missing.json.error.code })
  end)

  it("call tools by items", function()
    start "openai"
    local call = respond("mock:tool", { tools = tools }).json.output[1]
    assert.same({ "function_call", "weather" }, { call.type, call.name })
    assert.same(ARGUMENTS, keycycle.json.decode(call.arguments))
    local said = respond({ { role = "user", content = "mock:tool" }, call,
      { type = "function_call_output", call_id = call.call_id, output = "rain" } },
      { tools = tools }).json.output[1].content[1].text
    assert.equal("The tool weather said: rain", said)
    assert.equal(400, respond({ { type = "function_call_output", call_id = "no",
      output = "rain" } }).status)
  end)

  it("stream named events in order", function()
    start "openai"
    local events = styles.events(respond("one two three four", { stream = true }).body)
    local names, text = {}, {}
    for i, event in ipairs(events) do
      names[i] = event.type
      assert.same({ event.type, i - 1 }, { event.data.type, event.data.sequence_number })
      if event.type == "response.output_text.delta" then text[#text + 1] = event.data.delta end
    end
    assert.same({ "response.created", "response.in_progress", "response.output_item.added",
      "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
      "response.output_text.done", "response.content_part.done", "response.output_item.done",
      "response.completed" }, names)
    assert.equal("You said: one two three four", table.concat(text))
    assert.equal(mock:journal().keys[1].total_tokens,
      events[#events].data.response.usage.total_tokens)
    events = styles.events(respond("mock:tool", { stream = true, tools = tools }).body)
    local arguments = ""
    for _, event in ipairs(events) do
      if event.type == "response.function_call_arguments.delta" then
        arguments = arguments .. event.data.delta
      end
    end
    assert.same(ARGUMENTS, keycycle.json.decode(arguments))
    events = styles.events(respond("mock:fault=midstream", { stream = true }).body)
    assert.same({ "response.output_text.delta", "error" },
      { events[#events - 1].type, events[#events].type })
  end)
end)
