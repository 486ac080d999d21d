local anthropic = require "keycycle.protocol.anthropic"
local collect = require "keycycle.protocol.collect"
local support = require "tests.support.protocol"

local native, wire, refusal = support.native, support.wire, support.refusal

local function hello(more)
  local request = { model = "m", messages = { { role = "user", content = "Hi" } } }
  for k, v in pairs(more or {}) do request[k] = v end
  return request
end

describe("a neutral request in Anthropic's form #pure", function()
  it("has its system apart, and always a max_tokens", function()
    assert.same(native [[{"model": "m", "system": "Be brief.\n\nBe kind.", "max_tokens": 4096,
      "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"}]}]],
      wire(anthropic.encode { model = "m", messages = { { role = "system", content = "Be brief." },
        { role = "user", content = "Hi" }, { role = "assistant", content = "Hello." },
        { role = "system", content = "Be kind." }, { role = "user", content = "Bye" } } }))
    assert.equal(7, anthropic.encode(hello { max_tokens = 7 }).json.max_tokens)
  end)

  it("puts results of tools into one user message, before what the user says", function()
    assert.same(native [[{"model": "m", "max_tokens": 4096, "messages": [
      {"role": "user", "content": "Weather?"},
      {"role": "assistant", "content": [{"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Rome"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}]},
      {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [
          {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}}]},
        {"type": "text", "text": "And?"}]}],
      "tools": [{"name": "weather", "description": "d",
        "input_schema": {"type": "object", "properties": {}}}, {"name": "now",
        "input_schema": {"type": "object"}}],
      "tool_choice": {"type": "any"}}]],
      wire(anthropic.encode { model = "m", tool_choice = "required",
        tools = { { name = "weather", description = "d" },
          { name = "now", parameters = { type = "object" } } },
        messages = { { role = "user", content = "Weather?" },
          { role = "assistant", content = "Let me see.", tool_calls = {
            { id = "toolu_1", name = "weather", arguments = { town = "Rome" } },
            { id = "toolu_2", name = "now" } } },
          { role = "tool", tool_call_id = "toolu_1", content = "sunny" },
          { role = "tool", tool_call_id = "toolu_2", content = {
            { type = "image", url = "https://e.org/a.png" } } },
          { role = "user", content = "And?" } } }))
  end)

  it("has images by url and by data, and a data: url as data", function()
    local content = wire(anthropic.encode(hello { messages = { { role = "user", content = {
      { type = "image", data = "QUJD", media_type = "image/png" },
      { type = "image", url = "data:image/gif;base64,R0lG" } } } } })).messages[1].content
    assert.same(native [[[{"type": "image",
      "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}, {"type": "image",
      "source": {"type": "base64", "media_type": "image/gif", "data": "R0lG"}}]  ]], content)
  end)

  it("has the other fields by their names", function()
    local json = wire(anthropic.encode(hello { temperature = 0.5, top_p = 0.9, stop = { "a", "b" },
      stream = true, seed = 5, extra = { top_k = 5 },
      response_format = { type = "json_schema", schema = { type = "object" } } }))
    assert.same(native [[{"model": "m", "max_tokens": 4096, "temperature": 0.5, "top_p": 0.9,
      "messages": [{"role": "user", "content": "Hi"}], "stop_sequences": ["a", "b"],
      "stream": true, "top_k": 5,
      "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}]], json)
    local tools = { { name = "f" } }
    for choice, kind in pairs { auto = "auto", none = "none", required = "any" } do
      assert.same({ type = kind },
        anthropic.encode(hello { tools = tools, tool_choice = choice }).json.tool_choice)
    end
    assert.same({ type = "tool", name = "f" },
      anthropic.encode(hello { tools = tools, tool_choice = { name = "f" } }).json.tool_choice)
  end)

  it("asks for JSON in words where there is no schema", function()
    assert.matches("JSON", anthropic.encode(hello { response_format = { type = "json" } })
      .json.system)
  end)

  it("gives ids a form that the server takes, the same in call and result", function()
    local json = anthropic.encode(hello { messages = {
      { role = "assistant", tool_calls = { { id = "a b:c", name = "f" } } },
      { role = "tool", tool_call_id = "a b:c", content = "1" } } }).json
    local id = json.messages[1].content[1].id
    assert.matches("^[%w_-]+$", id)
    assert.equal(id, json.messages[2].content[1].tool_use_id)
  end)

  it("leaves out a turn that says nothing, which the server refuses", function()
    local json = anthropic.encode(hello { messages = { { role = "user", content = "a" },
      { role = "assistant", content = "" }, { role = "user", content = "b" } } }).json
    assert.equal(2, #json.messages)
  end)

  it("is refused with the name of what cannot be said", function()
    assert.matches("^messages has nothing but", refusal(anthropic.encode,
      { model = "m", messages = { { role = "system", content = "s" } } }))
    assert.matches("^messages%[1%]%.content%[1%]: an image has no place in a system message",
      refusal(anthropic.encode, hello { messages = {
        { role = "system", content = { { type = "image", url = "u" } } } } }))
  end)
end)

local recorded = native [[{"id": "msg_1", "type": "message", "model": "claude-sonnet-4-5",
  "role": "assistant", "content": [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "text", "text": "Let me see."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Rome"}}],
  "stop_reason": "tool_use", "stop_sequence": null,
  "usage": {"input_tokens": 10, "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000, "output_tokens": 40}}]]

describe("an answer in Anthropic's form #pure", function()
  it("is read from its blocks", function()
    local response = anthropic.decode(recorded)
    assert.same({ "msg_1", "claude-sonnet-4-5", "Let me see.", "hm", "tool_calls" }, {
      response.id, response.model, response.content, response.reasoning, response.finish_reason })
    assert.same({ { id = "toolu_1", name = "weather", arguments = { town = "Rome" } } },
      response.tool_calls)
  end)

  it("has as input what was cached too, and no total but the sum", function()
    assert.same({ input_tokens = 3210, output_tokens = 40, total_tokens = 3250,
      cached_tokens = 3000, cache_write_tokens = 200 }, anthropic.usage(recorded))
    assert.is_nil(anthropic.usage {})
  end)

  it("ends for one of four reasons", function()
    for native_reason, reason in pairs { end_turn = "stop", stop_sequence = "stop",
      pause_turn = "stop", tool_use = "tool_calls", max_tokens = "length",
      model_context_window_exceeded = "length", refusal = "content_filter", other = "stop" } do
      assert.equal(reason, anthropic.decode({ stop_reason = native_reason }).finish_reason)
    end
  end)

  it("goes back unchanged where it thought, so that its signature holds", function()
    local message = collect.message(anthropic.decode(recorded))
    local json = wire(anthropic.encode(hello { messages = { message,
      { role = "tool", tool_call_id = "toolu_1", content = "sunny" } } }))
    assert.same(recorded.content, json.messages[1].content)
  end)

  it("keeps nothing where its texts and calls say all", function()
    assert.is_nil(anthropic.decode({ content = { { type = "text", text = "a" } } }).extra)
  end)
end)

local told = [[
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","model":"claude",
  "usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":1}}}
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"",
  "signature":""}}
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m"}}
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}
event: content_block_stop
data: {"type":"content_block_stop","index":0}
event: ping
data: {"type":"ping"}
event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let me "}}
event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"see."}}
event: content_block_stop
data: {"type":"content_block_stop","index":1}
event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1",
  "name":"weather","input":{}}}
event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}
event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",
  "partial_json":"{\"town\""}}
event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",
  "partial_json":":\"Rome\"}"}}
event: content_block_stop
data: {"type":"content_block_stop","index":2}
event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2",
  "name":"now","input":{}}}
event: content_block_stop
data: {"type":"content_block_stop","index":3}
event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},
  "usage":{"output_tokens":25}}
event: message_stop
data: {"type":"message_stop"}
]]

describe("a stream in Anthropic's form #pure", function()
  it("is told in chunks", function()
    local chunks, response = support.play(anthropic, told)
    assert.same({ "msg_1", "claude", "Let me see.", "hm", "tool_calls" }, {
      response.id, response.model, response.content, response.reasoning, response.finish_reason })
    assert.same({ { id = "toolu_1", name = "weather", arguments = { town = "Rome" } },
      { id = "toolu_2", name = "now", arguments = {} } }, response.tool_calls)
    assert.is_true(chunks[#chunks].done)
    assert.is_true(anthropic.ends_late)
  end)

  it("has its input's usage at the begin, its output's at the end", function()
    local chunks, response = support.play(anthropic, told)
    assert.same({ input_tokens = 100, output_tokens = 1, total_tokens = 101, cached_tokens = 90 },
      chunks[1].usage)
    assert.same({ input_tokens = 100, output_tokens = 25, total_tokens = 125, cached_tokens = 90 },
      response.usage)
  end)

  it("puts its blocks together again, so that they can go back", function()
    local _, response = support.play(anthropic, told)
    local json = wire(anthropic.encode(hello { messages = { collect.message(response) } }))
    assert.same(native [[ [{"type": "thinking", "thinking": "hm", "signature": "c2ln"},
      {"type": "text", "text": "Let me see."},
      {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Rome"}},
      {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}] ]],
      json.messages[1].content)
  end)

  it("may fail", function()
    local failed = native '{"type":"error","error":{"type":"overloaded_error","message":"m"}}'
    assert.is_true(anthropic.event("error", failed, {}).error)
  end)

  it("says nothing where an event says nothing", function()
    for _, event in ipairs { { type = "ping" }, { type = "new_event" }, {},
      { type = "content_block_delta", delta = { type = "text_delta", text = "" } } } do
      assert.is_nil(anthropic.event("message", event, {}))
    end
  end)
end)

describe("Anthropic's form #pure", function()
  it("keeps the neutral form whatever comes", function()
    support.check_robust(anthropic, { answers = { recorded }, events = support.events(told),
      requests = { anthropic.encode(hello { tools = { { name = "f" } } }).json } })
  end)

  it("costs its system, its messages and what may come back", function()
    assert.equal(1 + 4 + 2 + 5, anthropic.estimate { system = "abcd", max_tokens = 5,
      messages = { { role = "user", content = "abcdefgh" } } })
  end)
end)
