local chat = require "keycycle.protocol.openai_chat"
local support = require "tests.support.protocol"

local native, wire, refusal = support.native, support.wire, support.refusal

local weather = { name = "weather", description = "The weather of a town",
  parameters = { type = "object", properties = { town = { type = "string" } } } }

local function hello(more)
  local request = { model = "m", messages = { { role = "user", content = "Hi" } } }
  for k, v in pairs(more or {}) do request[k] = v end
  return request
end

describe("a neutral request in OpenAI's chat form #pure", function()
  it("is a model and its messages", function()
    assert.same(native [[{"model": "m", "messages": [
      {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "ann"},
      {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"}]}]],
      wire(chat.encode { model = "m", messages = {
        { role = "system", content = "Be brief." }, { role = "user", content = "Hi", name = "ann" },
        { role = "assistant", content = "Hello." }, { role = "user", content = "Bye" } } }))
  end)

  it("has images as urls, their data too", function()
    assert.same(native [[{"model": "m", "messages": [{"role": "user", "content": [
      {"type": "text", "text": "What is it?"},
      {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
      {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]}]}]],
      wire(chat.encode { model = "m", messages = { { role = "user", content = {
        { type = "text", text = "What is it?" }, { type = "image", url = "https://e.org/a.png" },
        { type = "image", data = "QUJD", media_type = "image/png" } } } } }))
  end)

  it("has tools, calls and their results", function()
    assert.same(native [[{"model": "m", "messages": [{"role": "user", "content": "Weather?"},
      {"role": "assistant", "tool_calls": [{"id": "call_7", "type": "function",
        "function": {"name": "weather", "arguments": "{\"town\":\"Rome\"}"}}]},
      {"role": "tool", "tool_call_id": "call_7", "content": "sunny"}],
      "tools": [{"type": "function", "function": {"name": "weather",
        "description": "The weather of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}}}}],
      "tool_choice": {"type": "function", "function": {"name": "weather"}}}]],
      wire(chat.encode { model = "m", tools = { weather }, tool_choice = { name = "weather" },
        messages = { { role = "user", content = "Weather?" },
          { role = "assistant", content = "", tool_calls = {
            { id = "call_7", name = "weather", arguments = { town = "Rome" } } } },
          { role = "tool", tool_call_id = "call_7", name = "weather", content = "sunny" } } }))
  end)

  it("has the other fields by their names, and the caller's own last", function()
    assert.same(native [[{"model": "m", "messages": [{"role": "user", "content": "Hi"}],
      "temperature": 0.5, "top_p": 0.9, "max_tokens": 100, "stop": ["END"], "seed": 7,
      "stream": true, "stream_options": {"include_usage": true}, "user": "u",
      "response_format": {"type": "json_schema", "json_schema": {"name": "town",
        "schema": {"type": "object"}}}}]],
      wire(chat.encode(hello { temperature = 0.5, top_p = 0.9, max_tokens = 100, stop = "END",
        seed = 7, stream = true, extra = { user = "u" },
        response_format = { type = "json_schema", name = "town", schema = { type = "object" } } })))
    assert.equal("json_object",
      chat.encode(hello { response_format = { type = "json" } }).json.response_format.type)
    assert.equal("other", chat.encode(hello { extra = { model = "other" } }).json.model)
  end)

  it("chooses no tool where there is none to choose from", function()
    assert.is_nil(chat.encode(hello { tool_choice = "auto" }).json.tool_choice)
    assert.equal("required",
      chat.encode(hello { tool_choice = "required", tools = { weather } }).json.tool_choice)
  end)

  it("is what the server takes, by the adapter's options", function()
    local json = chat.encode(hello { max_tokens = 5, seed = 1, stream = true }, {
      max_tokens_field = "max_completion_tokens", seed_field = "random_seed", stream_usage = false,
    }).json
    assert.same({ 5, 1 }, { json.max_completion_tokens, json.random_seed })
    assert.is_nil(json.max_tokens or json.seed or json.stream_options)
  end)

  it("gives ids a length where the server wants one, the same in call and result", function()
    local function ids(id, options)
      local json = chat.encode({ model = "m", messages = {
        { role = "assistant", tool_calls = { { id = id, name = "f" } } },
        { role = "tool", tool_call_id = id, content = "1" } } }, options).json
      assert.equal(json.messages[1].tool_calls[1].id, json.messages[2].tool_call_id)
      return json.messages[2].tool_call_id
    end
    local nine = { tool_id_length = 9 }
    assert.equal("abcDEF123", ids("abcDEF123", nine))
    assert.matches("^%w%w%w%w%w%w%w%w%w$", ids("toolu_01A09q90qw90lq917835lq9", nine))
    assert.not_equal(ids("toolu_01A", nine), ids("toolu_01B", nine))
    assert.matches("^%w%w%w%w%w%w%w%w%w$", ids("a b_c-d:e", nine))
    assert.matches("^%w%w%w%w%w%w%w%w%w$", ids("abc", nine))
    assert.equal("call_7", ids "call_7")
    assert.is_true(#ids(("x"):rep(41)) <= 40)
  end)

  it("sends reasoning back only where it is wanted, and only with calls", function()
    local request = { model = "m", messages = {
      { role = "assistant", content = "a", reasoning = "hm" },
      { role = "assistant", reasoning = "so", tool_calls = { { id = "1", name = "f" } } } } }
    assert.is_nil(chat.encode(request).json.messages[2].reasoning_content)
    local json = chat.encode(request, { send_reasoning = true }).json
    assert.equal("so", json.messages[2].reasoning_content)
    assert.is_nil(json.messages[1].reasoning_content)
  end)

  it("is refused with the name of what is wrong", function()
    local function why(more) return refusal(chat.encode, hello(more)) end
    assert.matches("^model is missing", refusal(chat.encode, { messages = {} }))
    assert.matches("^messages is empty", refusal(chat.encode, { model = "m", messages = {} }))
    assert.matches("^messages must be a list", why { messages = "Hi" })
    assert.matches("^messages%[1%]%.role is robot", why { messages = { { role = "robot" } } })
    assert.matches("^messages%[1%]%.content is missing", why { messages = { { role = "user" } } })
    assert.matches("^messages%[1%]%.tool_call_id is missing",
      why { messages = { { role = "tool", content = "" } } })
    assert.matches("^messages%[1%]%.content%[1%]: an image has no place in a tool message",
      why { messages = { { role = "tool", tool_call_id = "1",
        content = { { type = "image", url = "u" } } } } })
    assert.matches("^messages%[1%]%.content%[1%]%.media_type is missing",
      why { messages = { { role = "user", content = { { type = "image", data = "QQ" } } } } })
    assert.matches("^messages%[1%]%.content%[1%]%.type is sound",
      why { messages = { { role = "user", content = { { type = "sound" } } } } })
    assert.matches("^messages%[1%]%.tool_calls%[1%]%.id is missing",
      why { messages = { { role = "assistant", tool_calls = { { name = "f" } } } } })
    assert.matches("^messages%[1%]%.tool_calls%[1%]%.arguments must be a table",
      why { messages = { { role = "assistant",
        tool_calls = { { id = "1", name = "f", arguments = "{" } } } } })
    assert.matches("^tools%[1%]%.name is missing", why { tools = { {} } })
    assert.matches("^tool_choice%.name", why { tools = { weather }, tool_choice = { name = "x" } })
    assert.matches("^max_tokens must be a whole number", why { max_tokens = 1.5 })
    assert.matches("^temperature must be a number", why { temperature = "hot" })
    assert.matches("^response_format%.schema", why { response_format = { type = "json_schema" } })
    assert.matches("^response_format%.type is xml", why { response_format = { type = "xml" } })
    assert.matches("^stop%[1%]", why { stop = { 5 } })
    assert.matches("^extra must be a table", why { extra = 5 })
  end)
end)

local recorded = native [[{"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini",
  "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!", "refusal": null},
    "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1}}}]]

local with_calls = native [[{"id": "c", "model": "m", "choices": [{"message": {"content": null,
  "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [1]}"}},
    {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}},
    {"id": "call_3", "type": "function", "function": {"name": "h", "arguments": "{\"a\": "}}]},
  "finish_reason": "tool_calls"}]}]]

describe("an answer in OpenAI's chat form #pure", function()
  it("is read", function()
    local response = chat.decode(recorded)
    assert.same({ "chatcmpl-1", "gpt-4o-mini", "Hello!", "stop", {} }, { response.id,
      response.model, response.content, response.finish_reason, response.tool_calls })
    assert.same({ input_tokens = 9, output_tokens = 3, total_tokens = 12, cached_tokens = 4,
      reasoning_tokens = 1 }, response.usage)
    assert.equal(recorded, response.raw)
  end)

  it("has its calls with decoded arguments, and what is no JSON as text", function()
    local response = chat.decode(with_calls)
    assert.equal("", response.content)
    assert.equal("tool_calls", response.finish_reason)
    assert.same({ { id = "call_1", name = "f", arguments = { a = { 1 } } },
      { id = "call_2", name = "g", arguments = {} },
      { id = "call_3", name = "h", arguments = {}, arguments_text = '{"a": ' } },
      response.tool_calls)
  end)

  local function reason(native_reason, message)
    return chat.decode { choices = { { message = message or { content = "" },
      finish_reason = native_reason } } }.finish_reason
  end

  it("ends for one of four reasons", function()
    assert.same({ "stop", "stop", "length", "length", "content_filter", "tool_calls", "stop" },
      { reason "stop", reason "eos", reason "length", reason "model_length",
        reason "content_filter", reason "function_call", reason "whatever" })
    assert.equal("tool_calls",
      reason("stop", { tool_calls = { { id = "1", ["function"] = { name = "f" } } } }))
  end)

  it("says its refusal, and that it is one", function()
    local response = chat.decode { choices = { { message = { refusal = "I can't." },
      finish_reason = "stop" } } }
    assert.same({ "I can't.", "content_filter" }, { response.content, response.finish_reason })
  end)

  it("may have content that is a number, a list of parts, or wrapped", function()
    local function content(body) return chat.decode(body).content end
    assert.equal("42", content { result = { choices = { { message = { content = 42 } } } } })
    local response = chat.decode { choices = { { message = { content = {
      { type = "thinking", thinking = { { type = "text", text = "hm" } } },
      { type = "text", text = "So" } } } } } }
    assert.same({ "So", "hm" }, { response.content, response.reasoning })
    assert.equal("why", chat.decode({ choices = { { message = { content = "a",
      reasoning_content = "why" } } } }).reasoning)
  end)

  it("is a failure where the choice says so", function()
    assert.is_false(chat.failure(recorded))
    assert.is_true(chat.failure { choices = { { error = { code = 502 } } } })
    assert.is_true(chat.failure {
      choices = { { finish_reason = "insufficient_system_resource" } } })
    assert.is_true(chat.failure { error = "x" })
  end)
end)

describe("the usage in an answer #pure", function()
  it("is summed where no total is given", function()
    assert.equal(12, chat.usage({ usage = { prompt_tokens = 9, completion_tokens = 3 } })
      .total_tokens)
  end)

  it("counts xAI's reasoning, which completion_tokens leaves out, as output", function()
    assert.same({ input_tokens = 204, output_tokens = 83, total_tokens = 287,
      reasoning_tokens = 82 }, chat.usage { usage = { prompt_tokens = 204, completion_tokens = 1,
        total_tokens = 287, completion_tokens_details = { reasoning_tokens = 82 } } })
  end)

  it("has what was cached in any of three places", function()
    for _, usage in ipairs { { prompt_tokens_details = { cached_tokens = 4 } },
      { prompt_cache_hit_tokens = 4, prompt_cache_miss_tokens = 5 }, { cached_tokens = 4 } } do
      usage.prompt_tokens, usage.completion_tokens = 9, 3
      assert.equal(4, chat.usage({ usage = usage }).cached_tokens)
    end
  end)

  it("is found where Groq's streams have it", function()
    assert.equal(5, chat.usage({ x_groq = { usage = { total_tokens = 5 } } }).total_tokens)
  end)

  it("is none where there is none", function()
    for _, body in ipairs {
      {}, { usage = "much" }, { usage = {} }, { usage = { total_tokens = 0 } },
      { usage = { total_tokens = -5 } }, { usage = { total_tokens = "x" } }, { x_groq = 1 },
    } do
      assert.is_nil(chat.usage(body))
    end
  end)
end)

local told = [[
data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}
data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}],"obfuscation":"x"}
data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"lo"}}]}
data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
data: {"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,
  "total_tokens":11}}
data: [DONE]
]]

local called = [[
data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f",
  "arguments":""}}]}}]}
data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}
data: {"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g",
  "arguments":"{}"}}]}}]}
data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}
data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}
]]

describe("a stream in OpenAI's chat form #pure", function()
  it("is told in chunks; usage comes after the reason to end", function()
    local chunks, response = support.play(chat, told)
    assert.same({ "Hel", "lo" }, { chunks[1].text, chunks[2].text })
    assert.equal("stop", chunks[3].finish_reason)
    assert.equal(11, chunks[4].usage.total_tokens)
    assert.equal(4, #chunks)
    assert.is_true(chat.ends_late)
    assert.same({ "c1", "m", "Hello", "stop", 11 }, { response.id, response.model,
      response.content, response.finish_reason, response.usage.total_tokens })
  end)

  it("joins the pieces of its calls by their index", function()
    local _, response = support.play(chat, called)
    assert.same({ { id = "a", name = "f", arguments = { x = 1 } },
      { id = "b", name = "g", arguments = {} } }, response.tool_calls)
    assert.equal("tool_calls", response.finish_reason)
  end)

  it("keeps calls apart that have one index, or none, by their ids", function()
    for _, index in ipairs { '"index":0,', "" } do
      local text = ([[
data: {"choices":[{"delta":{"tool_calls":[{IX"id":"a","function":{"name":"f",
  "arguments":"{\"n\":"}}]}}]}
data: {"choices":[{"delta":{"tool_calls":[{IX"id":"","function":{"arguments":"1}"}}]}}]}
data: {"choices":[{"delta":{"tool_calls":[{IX"id":"b","function":{"name":"f",
  "arguments":"{\"n\":2}"}}]}}]}
data: {"choices":[{"delta":{},"finish_reason":"stop"}]}
]]):gsub("IX", index)
      local _, response = support.play(chat, text)
      assert.same({ { id = "a", name = "f", arguments = { n = 1 } },
        { id = "b", name = "f", arguments = { n = 2 } } }, response.tool_calls)
      assert.equal("tool_calls", response.finish_reason)
    end
  end)

  it("knows a call again whose id is in each of its pieces", function()
    local _, response = support.play(chat, [[
data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}}]}
data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"arguments":"}"}}]}}]}
]])
    assert.same({ { id = "a", name = "f", arguments = {} } }, response.tool_calls)
  end)

  it("gives both where one event has two calls", function()
    local chunks, response = support.play(chat, [[
data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f",
  "arguments":"{}"}},{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}
]])
    assert.equal(2, #chunks[1].tool_calls)
    assert.equal(chunks[1].tool_call, chunks[1].tool_calls[1])
    assert.equal(2, #response.tool_calls)
  end)

  it("thinks, refuses, and counts as it goes", function()
    local chunks = support.play(chat, [[
data: {"choices":[{"delta":{"reasoning_content":"hm"}}],"usage":{"prompt_tokens":5,
  "completion_tokens":1,"total_tokens":6}}
data: {"choices":[{"delta":{"reasoning":"so"}}]}
data: {"choices":[{"delta":{"refusal":"No."}}]}
data: {"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":5,
  "completion_tokens":4,"total_tokens":9}}}
]])
    assert.same({ "hm", "so", "No.", 6, 9 }, { chunks[1].reasoning, chunks[2].reasoning,
      chunks[3].text, chunks[1].usage.total_tokens, chunks[4].usage.total_tokens })
    assert.equal("content_filter", chunks[4].finish_reason)
  end)

  it("may end with Perplexity's own last event", function()
    local chunks = support.play(chat, [[
data: {"object":"chat.completion.done","choices":[{"delta":{},"finish_reason":"stop"}]}
]])
    assert.is_true(chunks[1].done)
  end)

  it("fails in many forms", function()
    for _, event in ipairs { '{"error":{"message":"full"}}', '{"x_groq":{"error":"e"}}',
      '{"choices":[{"error":{"code":502},"finish_reason":"error"}]}', '[{"error":{"code":429}}]',
      '{"choices":[{"delta":{},"finish_reason":"error"}]}', '{"object":"error","message":"m"}',
      '{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}' } do
      assert.is_true(chat.event("message", native(event), {}).error, event)
    end
  end)

  it("says nothing where an event says nothing", function()
    for _, event in ipairs { '{"choices":[{"delta":{"role":"assistant","content":""}}]}',
      '{"choices":[],"prompt_filter_results":[]}', "{}", '{"choices":5}' } do
      assert.is_nil(chat.event("message", native(event), {}))
    end
    assert.is_nil(chat.event("message", "text", {}))
  end)
end)

describe("the estimate of a chat request #pure", function()
  it("grows with the text and with what may come back", function()
    local short = { messages = { { role = "user", content = "Hi" } } }
    local long = { messages = { { role = "user", content = ("x"):rep(4000) } } }
    assert.is_true(chat.estimate(short) >= 1 and chat.estimate(short) < 20)
    assert.is_true(chat.estimate(long) >= 1000 and chat.estimate(long) < 1100)
    short.max_tokens = 500
    assert.is_true(chat.estimate(short) >= 500 and chat.estimate(short) < 520)
    short.max_completion_tokens = 700
    assert.is_true(chat.estimate(short) >= 700 and chat.estimate(short) < 720)
  end)

  it("counts an image flat, whatever its data is long", function()
    local function of(url)
      return chat.estimate { messages = { { role = "user", content = {
        { type = "text", text = ("x"):rep(400) },
        { type = "image_url", image_url = { url = url } } } } } }
    end
    assert.equal(of "https://e.org/a.png", of("data:image/png;base64," .. ("A"):rep(1000000)))
    assert.is_true(of "u" > 500 and of "u" < 3000)
  end)

  it("counts the tools, their names too, and the calls", function()
    local plain = { messages = { { role = "user", content = "Hi" } } }
    local before = chat.estimate(plain)
    plain.tools = { { type = "function", ["function"] = { name = "f", parameters = {
      properties = { [("p"):rep(400)] = { type = "string" } } } } } }
    assert.is_true(chat.estimate(plain) >= before + 100)
    local call = { messages = { { role = "assistant", tool_calls = { {
      ["function"] = { name = "f", arguments = ("x"):rep(400) } } } } } }
    assert.is_true(chat.estimate(call) >= 100)
  end)

  it("ends for a table that contains itself", function()
    local message = { role = "user" }
    message.content = { { type = "text", text = "abcd", of = message } }
    assert.is_true(chat.estimate { messages = { message } } < 20)
  end)

  it("raises for nothing that a caller may have written", function()
    for _, request in ipairs { {}, { messages = "Hi" }, { messages = { 1, "a", {} } },
      { messages = { { content = 5 } } }, { messages = { { content = { 1, {}, { text = 2 } } } } },
      { max_tokens = "many" }, { max_tokens = -5 }, { max_tokens = 1.5 } } do
      local n = chat.estimate(request)
      assert.is_true(math.type(n) == "integer" and n >= 0)
    end
  end)
end)

describe("OpenAI's chat form #pure", function()
  it("keeps the neutral form whatever comes", function()
    support.check_robust(chat, { answers = { recorded, with_calls },
      requests = { chat.encode(hello { max_tokens = 5, tools = { weather } }).json } })
    support.check_robust(chat, { events = support.events(told) })
    support.check_robust(chat, { events = support.events(called) })
  end)
end)
