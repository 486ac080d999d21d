local cohere = require "keycycle.protocol.cohere"
local collect = require "keycycle.protocol.collect"
local embed = require "keycycle.protocol.cohere_embed"
local rerank = require "keycycle.protocol.cohere_rerank"
local support = require "tests.support.protocol"

local native, wire, refusal = support.native, support.wire, support.refusal

local function hello(more)
  local request = { model = "command-a", messages = { { role = "user", content = "Hi" } } }
  for k, v in pairs(more or {}) do request[k] = v end
  return request
end

describe("a neutral request in Cohere's form #pure", function()
  it("has messages, calls and their results", function()
    assert.same(native [[{"model": "command-a", "messages": [
      {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"},
      {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [{"id": "weather_1",
        "type": "function", "function": {"name": "weather", "arguments": "{\"town\":\"Rome\"}"}}]},
      {"role": "tool", "tool_call_id": "weather_1", "content": "sunny"}],
      "tools": [{"type": "function", "function": {"name": "weather",
        "parameters": {"type": "object", "properties": {}}}}], "tool_choice": "REQUIRED"}]],
      wire(cohere.encode(hello { tool_choice = "required", tools = { { name = "weather" } },
        messages = { { role = "system", content = "Be brief." },
          { role = "user", content = "Weather?" },
          { role = "assistant", content = "", extra = { cohere = { tool_plan = "I will look." } },
            tool_calls = {
              { id = "weather_1", name = "weather", arguments = { town = "Rome" } } } },
          { role = "tool", tool_call_id = "weather_1", content = "sunny" } } })))
  end)

  it("has the other fields by their names", function()
    assert.same(native [[{"model": "command-a", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]}],
      "temperature": 0.5, "p": 0.9, "max_tokens": 100, "stop_sequences": ["END"], "seed": 7,
      "stream": true, "safety_mode": "OFF",
      "response_format": {"type": "json_object", "json_schema": {"type": "object"}}}]],
      wire(cohere.encode(hello { temperature = 0.5, top_p = 0.9, max_tokens = 100, stop = "END",
        seed = 7, stream = true, extra = { safety_mode = "OFF" },
        response_format = { type = "json_schema", schema = { type = "object" } },
        messages = { { role = "user", content = { { type = "text", text = "What?" },
          { type = "image", data = "QUJD", media_type = "image/png" } } } } })))
  end)

  it("asks for one tool by sending no other", function()
    local json = cohere.encode(hello { tools = { { name = "f" }, { name = "g" } },
      tool_choice = { name = "g" } }).json
    assert.equal("REQUIRED", json.tool_choice)
    assert.same({ "g" }, { json.tools[1]["function"].name, json.tools[2] })
    assert.equal("NONE",
      cohere.encode(hello { tools = { { name = "f" } }, tool_choice = "none" }).json.tool_choice)
    assert.is_nil(
      cohere.encode(hello { tools = { { name = "f" } }, tool_choice = "auto" }).json.tool_choice)
  end)

  it("is refused where an image stands in a tool's result", function()
    assert.matches("^messages%[1%]%.content%[1%]", refusal(cohere.encode, hello { messages = {
      { role = "tool", tool_call_id = "1", content = { { type = "image", url = "u" } } } } }))
  end)
end)

local recorded = native [[{"id": "c1", "finish_reason": "TOOL_CALL", "message": {
  "role": "assistant", "tool_plan": "I will look.",
  "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Well."}],
  "tool_calls": [{"id": "weather_1", "type": "function",
    "function": {"name": "weather", "arguments": "{\"town\":\"Rome\"}"}}]},
  "usage": {"billed_units": {"input_tokens": 8, "output_tokens": 3},
    "tokens": {"input_tokens": 503.0, "output_tokens": 11}, "cached_tokens": 480}}]]

describe("an answer in Cohere's form #pure", function()
  it("is read", function()
    local response = cohere.decode(recorded)
    assert.same({ "c1", "Well.", "hm\nI will look.", "tool_calls" }, { response.id,
      response.content, response.reasoning, response.finish_reason })
    assert.same({ { id = "weather_1", name = "weather", arguments = { town = "Rome" } } },
      response.tool_calls)
  end)

  it("counts the tokens, not what is billed", function()
    assert.same({ input_tokens = 503, output_tokens = 11, total_tokens = 514,
      cached_tokens = 480 }, cohere.usage(recorded))
    assert.equal(11, cohere.usage({ usage = { billed_units = { input_tokens = 8,
      output_tokens = 3 } } }).total_tokens)
  end)

  it("ends for one of four reasons, or fails", function()
    for native_reason, reason in pairs { COMPLETE = "stop", STOP_SEQUENCE = "stop",
      MAX_TOKENS = "length", TOOL_CALL = "tool_calls" } do
      assert.equal(reason, cohere.decode({ finish_reason = native_reason }).finish_reason)
    end
    assert.is_true(cohere.failure { finish_reason = "ERROR" })
    assert.is_true(cohere.failure { finish_reason = "TIMEOUT" })
    assert.is_false(cohere.failure(recorded))
  end)

  it("gets its plan back", function()
    local message = collect.message(cohere.decode(recorded))
    assert.equal("I will look.",
      cohere.encode(hello { messages = { message } }).json.messages[1].tool_plan)
  end)
end)

local told = [[
event: message-start
data: {"type":"message-start","id":"c1","delta":{"message":{"role":"assistant","content":[]}}}
event: tool-plan-delta
data: {"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will "}}}
event: tool-plan-delta
data: {"type":"tool-plan-delta","delta":{"message":{"tool_plan":"look."}}}
event: tool-call-start
data: {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"weather_1",
  "type":"function","function":{"name":"weather","arguments":""}}}}}
event: tool-call-delta
data: {"type":"tool-call-delta","index":0,
  "delta":{"message":{"tool_calls":{"function":{"arguments":"{\"town\":"}}}}}
event: tool-call-delta
data: {"type":"tool-call-delta","index":0,
  "delta":{"message":{"tool_calls":{"function":{"arguments":"\"Rome\"}"}}}}}
event: tool-call-end
data: {"type":"tool-call-end","index":0}
event: content-start
data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}
event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Well."}}}}
event: content-end
data: {"type":"content-end","index":0}
event: message-end
data: {"type":"message-end","delta":{"finish_reason":"TOOL_CALL",
  "usage":{"billed_units":{"input_tokens":8,"output_tokens":3},"tokens":{"input_tokens":503,
  "output_tokens":11}}}}
data: [DONE]
]]

describe("a stream in Cohere's form #pure", function()
  it("is told in chunks and ends with its usage", function()
    local chunks, response = support.play(cohere, told)
    assert.same({ "c1", "Well.", "I will look.", "tool_calls", 514 }, { response.id,
      response.content, response.reasoning, response.finish_reason, response.usage.total_tokens })
    assert.same({ { id = "weather_1", name = "weather", arguments = { town = "Rome" } } },
      response.tool_calls)
    assert.same({ cohere = { tool_plan = "I will look." } }, response.extra)
    assert.is_true(chunks[#chunks].done)
  end)

  it("may have a call in a list", function()
    local chunk = cohere.event("tool-call-start", { index = 0, delta = { message = {
      tool_calls = { { id = "a", ["function"] = { name = "f", arguments = "{}" } } } } } }, {})
    assert.same({ index = 1, id = "a", name = "f", arguments = "{}" }, chunk.tool_call)
  end)

  it("thinks, and may fail at its end", function()
    assert.equal("hm", cohere.event("content-delta",
      { delta = { message = { content = { thinking = "hm" } } } }, {}).reasoning)
    for _, delta in ipairs { { finish_reason = "ERROR" }, { error = "m" } } do
      assert.is_true(cohere.event("message-end", { delta = delta }, {}).error)
    end
    assert.is_nil(cohere.event("citation-start", { type = "citation-start" }, {}))
  end)
end)

describe("Cohere's form #pure", function()
  it("keeps the neutral form whatever comes", function()
    support.check_robust(cohere, { answers = { recorded }, events = support.events(told),
      requests = { cohere.encode(hello { max_tokens = 5, tools = { { name = "f" } } }).json } })
  end)

  it("costs its messages and documents, and what may come back", function()
    assert.equal(4 + 2 + 1 + 5, cohere.estimate { max_tokens = 5, documents = { "abcd" },
      messages = { { role = "user", content = "abcdefgh" } } })
  end)
end)

describe("Cohere's embeddings #pure", function()
  it("are asked for with the kind of their texts", function()
    assert.same(native [[{"model": "embed-v4.0", "texts": ["a"], "input_type": "search_document",
      "embedding_types": ["float"]}]], wire(embed.encode { model = "embed-v4.0", input = "a" }))
    assert.same(native [[{"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query",
      "embedding_types": ["float"], "output_dimension": 256, "truncate": "END"}]],
      wire(embed.encode { model = "embed-v4.0", input = { "a", "b" }, kind = "query",
        dimensions = 256, extra = { truncate = "END" } }))
  end)

  it("are read", function()
    local body = native [=[{"id": "e", "embeddings": {"float": [[0.5, 1], [2, 3]]},
      "meta": {"billed_units": {"input_tokens": 4}}}]=]
    local response = embed.decode(body)
    assert.same({ { 0.5, 1 }, { 2, 3 } }, response.embeddings)
    assert.equal(4, response.usage.input_tokens)
    assert.same({ { 1 } }, embed.decode({ embeddings = { { 1 } } }).embeddings)
    support.check_robust(embed, { answers = { body }, other = true,
      requests = { { texts = { "a" }, model = "m" } } })
  end)

  it("cost their texts", function()
    assert.equal(3, embed.estimate { texts = { "abcdefgh", "abcd" } })
  end)
end)

describe("a rerank #pure", function()
  it("is asked for", function()
    assert.same(native [[{"model": "rerank-v3.5", "query": "q", "documents": ["a", "b"],
      "top_n": 1}]], wire(rerank.encode { model = "rerank-v3.5", query = "q",
        documents = { "a", "b" }, top_n = 1 }))
    assert.matches("^documents must be a list",
      refusal(rerank.encode, { model = "m", query = "q", documents = "a" }))
    assert.matches("^documents%[2%]",
      refusal(rerank.encode, { model = "m", query = "q", documents = { "a", {} } }))
    assert.matches("^query", refusal(rerank.encode, { model = "m", documents = { "a" } }))
  end)

  it("is read, best first, with places that count from 1", function()
    local body = native [[{"id": "r", "results": [{"index": 1, "relevance_score": 0.2},
      {"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 1}}}]]
    local response = rerank.decode(body)
    assert.same({ { index = 1, score = 0.9 }, { index = 2, score = 0.2 } }, response.results)
    assert.equal(1, response.search_units)
    assert.is_nil(response.usage)
    support.check_robust(rerank, { answers = { body }, other = true,
      requests = { { query = "q", documents = { "a" } } } })
  end)

  it("is read from those who answer like OpenAI, too", function()
    local response = rerank.decode(native [[{"object": "list",
      "data": [{"index": 0, "relevance_score": 0.5}],
      "usage": {"prompt_tokens": 7, "total_tokens": 7}}]])
    assert.same({ { index = 1, score = 0.5 } }, response.results)
    assert.equal(7, response.usage.total_tokens)
  end)

  it("costs its query with each document", function()
    assert.equal(2 * 1 + 4,
      rerank.estimate { query = "abcd", documents = { "abcdefgh", "abcdefgh" } })
  end)
end)
