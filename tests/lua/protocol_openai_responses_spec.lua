local responses = require "keycycle.protocol.openai_responses"
local support = require "tests.support.protocol"

local native, wire, refusal = support.native, support.wire, support.refusal

describe("a neutral request in the responses form #pure", function()
  it("has instructions, items, calls and their results", function()
    assert.same(native [[{"model": "m", "instructions": "Be brief.\n\nBe kind.", "input": [
      {"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "Let me see."},
      {"type": "function_call", "call_id": "c1", "name": "weather",
        "arguments": "{\"town\":\"Rome\"}"},
      {"type": "function_call_output", "call_id": "c1", "output": "sunny"}],
      "tools": [{"type": "function", "name": "weather", "description": "d", "strict": false,
        "parameters": {"type": "object", "properties": {}}}],
      "tool_choice": {"type": "function", "name": "weather"},
      "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}},
      "temperature": 1, "top_p": 0.5, "max_output_tokens": 50, "stream": true, "store": false}]],
      wire(responses.encode { model = "m", temperature = 1, top_p = 0.5, max_tokens = 50, seed = 1,
        stream = true, extra = { store = false }, tool_choice = { name = "weather" },
        tools = { { name = "weather", description = "d" } },
        response_format = { type = "json_schema", schema = { type = "object" } },
        messages = { { role = "system", content = "Be brief." },
          { role = "user", content = "Weather?" }, { role = "system", content = "Be kind." },
          { role = "assistant", content = "Let me see.", tool_calls = {
            { id = "c1", name = "weather", arguments = { town = "Rome" } } } },
          { role = "tool", tool_call_id = "c1", content = "sunny" } } }))
  end)

  it("has images, in results of tools too", function()
    local image = { { type = "text", text = "See" },
      { type = "image", data = "QUJD", media_type = "image/png" } }
    local parts = native [[[{"type": "input_text", "text": "See"},
      {"type": "input_image", "image_url": "data:image/png;base64,QUJD"}]  ]]
    local input = wire(responses.encode { model = "m", messages = {
      { role = "user", content = image }, { role = "tool", tool_call_id = "c", content = image },
    } }).input
    assert.same(parts, input[1].content)
    assert.same(parts, input[2].output)
  end)

  it("is refused with the name of what cannot be said", function()
    local user = { { role = "user", content = "Hi" } }
    assert.matches("^stop", refusal(responses.encode, { model = "m", messages = user, stop = "x" }))
    assert.matches("^messages has nothing but", refusal(responses.encode,
      { model = "m", messages = { { role = "system", content = "s" } } }))
    assert.matches("^model", refusal(responses.encode, { messages = user }))
  end)
end)

local recorded = native [[{"id": "resp_1", "model": "gpt-5", "status": "completed", "output": [
  {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
  {"type": "message", "role": "assistant", "content": [
    {"type": "output_text", "text": "Let me "}, {"type": "output_text", "text": "see."}]},
  {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
    "arguments": "{\"a\":1}"}],
  "usage": {"input_tokens": 202, "output_tokens": 205, "total_tokens": 407,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens_details": {"reasoning_tokens": 190}}}]]

describe("an answer in the responses form #pure", function()
  it("is read from its items", function()
    local response = responses.decode(recorded)
    assert.same({ "resp_1", "gpt-5", "Let me see.", "hm", "tool_calls" }, { response.id,
      response.model, response.content, response.reasoning, response.finish_reason })
    assert.same({ { id = "call_1", name = "f", arguments = { a = 1 } } }, response.tool_calls)
    assert.same({ input_tokens = 202, output_tokens = 205, total_tokens = 407, cached_tokens = 5,
      reasoning_tokens = 190 }, response.usage)
  end)

  it("ends for its reasons, and may be a failure", function()
    local function of(text) return responses.decode(native(text)).finish_reason end
    assert.equal("length",
      of '{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}')
    assert.equal("content_filter",
      of '{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}')
    assert.equal("content_filter", of [[{"status": "completed", "output": [{"type": "message",
      "content": [{"type": "refusal", "refusal": "No."}]}]}]])
    assert.equal("stop", of '{"status":"completed"}')
    assert.is_true(responses.failure { status = "failed", error = { code = "server_error" } })
    assert.is_false(responses.failure(recorded))
  end)

  it("has Perplexity's cached tokens", function()
    assert.equal(7, responses.usage({ usage = { input_tokens = 9, output_tokens = 1,
      input_tokens_details = { cache_read_input_tokens = 7 } } }).cached_tokens)
  end)
end)

local told = [[
event: response.created
data: {"type":"response.created","response":{"id":"r1","usage":null}}
event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"hm"}
event: response.output_text.delta
data: {"type":"response.output_text.delta","output_index":1,"delta":"Hel"}
event: response.output_text.delta
data: {"type":"response.output_text.delta","output_index":1,"delta":"lo"}
event: response.output_item.added
data: {"type":"response.output_item.added","output_index":2,"item":{"type":"function_call",
  "id":"fc_1","call_id":"call_1","name":"f","arguments":""}}
event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","output_index":2,"item_id":"fc_1",
  "delta":"{\"a\""}
event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","output_index":2,"item_id":"fc_1",
  "delta":":1}"}
event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","output_index":2,"item_id":"fc_1",
  "arguments":"{\"a\":1}"}
event: response.output_item.added
data: {"type":"response.output_item.added","output_index":3,"item":{"type":"function_call",
  "call_id":"call_2","name":"g","arguments":""}}
event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","output_index":3,"arguments":"{\"b\":2}"}
event: response.completed
data: {"type":"response.completed","response":{"id":"r1","model":"m","status":"completed",
  "usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}}}
]]

describe("a stream in the responses form #pure", function()
  it("is told in chunks and ends with its usage", function()
    local chunks, response = support.play(responses, told)
    assert.same({ "hm", "Hello", "tool_calls", "r1", "m" }, { response.reasoning,
      response.content, response.finish_reason, response.id, response.model })
    assert.same({ { id = "call_1", name = "f", arguments = { a = 1 } },
      { id = "call_2", name = "g", arguments = { b = 2 } } }, response.tool_calls)
    assert.is_true(chunks[#chunks].done)
    assert.equal(12, chunks[#chunks].usage.total_tokens)
  end)

  it("may be cut short, or fail", function()
    local function of(text) return responses.event("message", native(text), {}) end
    local cut = of [[{"type": "response.incomplete", "response": {"status": "incomplete",
      "incomplete_details": {"reason": "max_output_tokens"}, "usage": {"input_tokens": 1}}}]]
    assert.same({ "length", true, 1 }, { cut.finish_reason, cut.done, cut.usage.total_tokens })
    assert.is_true(of('{"type":"response.failed","response":{"status":"failed"}}').error)
    assert.is_true(of('{"type":"error","code":"x","message":"m"}').error)
    assert.is_true(of('{"error":{"message":"m"}}').error)
  end)

  it("takes the event's type where the data has none, and skips the rest", function()
    assert.equal("a", responses.event("response.output_text.delta", { delta = "a" }, {}).text)
    assert.is_nil(responses.event("response.in_progress", {}, {}))
    assert.is_nil(responses.event("response.output_text.delta", { delta = 5 }, {}))
    assert.is_nil(responses.event("message", nil, {}))
  end)

  it("refuses by its own events", function()
    local _, response = support.play(responses, [[
data: {"type":"response.refusal.delta","delta":"No."}
data: {"type":"response.completed","response":{"status":"completed"}}
]])
    assert.same({ "No.", "content_filter" }, { response.content, response.finish_reason })
  end)
end)

describe("the responses form #pure", function()
  it("keeps the neutral form whatever comes", function()
    support.check_robust(responses, { answers = { recorded }, events = support.events(told),
      requests = { native [[{"input": [{"role": "user", "content": "abcdefgh"}],
        "instructions": "x", "max_output_tokens": 5, "tools": [{"name": "f"}]}]] } })
  end)

  it("costs its input, a text or items, and what may come back", function()
    assert.equal(4 + 2 + 5, responses.estimate { input = "abcdefgh", max_output_tokens = 5 })
    assert.equal(4 + 2 + 1, responses.estimate_input { instructions = "abcd",
      input = { { role = "user", content = "abcdefgh" } } })
  end)
end)
