local collect = require "keycycle.protocol.collect"
local embeddings = require "keycycle.protocol.gemini_embeddings"
local gemini = require "keycycle.protocol.gemini"
local support = require "tests.support.protocol"

local native, wire, refusal = support.native, support.wire, support.refusal

local function hello(more)
  local request = { model = "gemini-2.5-flash", messages = { { role = "user", content = "Hi" } } }
  for k, v in pairs(more or {}) do request[k] = v end
  return request
end

describe("a neutral request in Gemini's form #pure", function()
  it("has the model in its path, and the way to stream", function()
    local encoded = gemini.encode(hello())
    assert.equal("/models/gemini-2.5-flash:generateContent", encoded.path)
    assert.is_nil(encoded.query)
    encoded = gemini.encode(hello { model = "tunedModels/a b", stream = true })
    assert.equal("/tunedModels/a%20b:streamGenerateContent", encoded.path)
    assert.same({ alt = "sse" }, encoded.query)
  end)

  it("has roles user and model, and its system apart", function()
    assert.same(native [[{"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": [
      {"role": "user", "parts": [{"text": "What?"},
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"fileData": {"fileUri": "https://e.org/a.png", "mimeType": "image/png"}}]},
      {"role": "model", "parts": [{"text": "A cat."}]}, {"role": "user", "parts": [{"text": "Bye"}]}
      ]}]], wire(gemini.encode(hello { messages = { { role = "system", content = "Be brief." },
        { role = "user", content = { { type = "text", text = "What?" },
          { type = "image", data = "QUJD", media_type = "image/png" },
          { type = "image", url = "https://e.org/a.png", media_type = "image/png" } } },
        { role = "assistant", content = "A cat." }, { role = "user", content = "Bye" } } })))
  end)

  it("has calls and results, which name their function", function()
    assert.same(native [[{"contents": [{"role": "user", "parts": [{"text": "Weather?"}]},
      {"role": "model", "parts": [{"text": "Let me see."},
        {"functionCall": {"name": "weather", "args": {"town": "Rome"}}},
        {"functionCall": {"name": "now", "args": {}}}]},
      {"role": "user", "parts": [
        {"functionResponse": {"name": "weather", "response": {"output": "sunny"}}},
        {"functionResponse": {"name": "now", "response": {"output": "noon"}}}]}],
      "tools": [{"functionDeclarations": [{"name": "weather", "description": "d",
        "parametersJsonSchema": {"type": "object", "properties": {}}}]}],
      "toolConfig": {"functionCallingConfig": {"mode": "ANY",
        "allowedFunctionNames": ["weather"]}}}]],
      wire(gemini.encode(hello { tools = { { name = "weather", description = "d" } },
        tool_choice = { name = "weather" }, messages = { { role = "user", content = "Weather?" },
          { role = "assistant", content = "Let me see.", tool_calls = {
            { id = "1", name = "weather", arguments = { town = "Rome" } },
            { id = "2", name = "now" } } },
          { role = "tool", tool_call_id = "1", content = "sunny" },
          { role = "tool", tool_call_id = "2", content = "noon" } } })))
  end)

  it("has results in the order of their calls, which is all that tells them apart", function()
    local json = wire(gemini.encode(hello { messages = {
      { role = "assistant", tool_calls = { { id = "1", name = "f" }, { id = "2", name = "f" },
        { id = "3", name = "f" } } },
      { role = "tool", tool_call_id = "3", content = "third" },
      { role = "tool", tool_call_id = "1", content = "first" },
      { role = "tool", tool_call_id = "2", content = "second" } } }))
    local seen = {}
    for i, part in ipairs(json.contents[2].parts) do
      seen[i] = part.functionResponse.response.output
    end
    assert.same({ "first", "second", "third" }, seen)
  end)

  it("has the other fields in its generationConfig", function()
    local json = wire(gemini.encode(hello { temperature = 0.5, top_p = 0.9, max_tokens = 100,
      stop = "END", seed = 7, extra = { cachedContent = "c" },
      response_format = { type = "json_schema", schema = { type = "object" } } }))
    assert.same(native [[{"contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
      "cachedContent": "c", "generationConfig": {"temperature": 0.5, "topP": 0.9,
        "maxOutputTokens": 100, "stopSequences": ["END"], "seed": 7,
        "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}}]], json)
    assert.same({ responseMimeType = "application/json" },
      gemini.encode(hello { response_format = { type = "json" } }).json.generationConfig)
    for choice, mode in pairs { auto = "AUTO", none = "NONE", required = "ANY" } do
      assert.equal(mode, gemini.encode(hello { tools = { { name = "f" } }, tool_choice = choice })
        .json.toolConfig.functionCallingConfig.mode)
    end
  end)

  it("signs the first of another model's calls where Gemini 3 would refuse them", function()
    local function first(model)
      local json = gemini.encode { model = model, messages = { { role = "assistant",
        tool_calls = { { id = "1", name = "f" }, { id = "2", name = "g" } } } } }.json
      assert.is_nil(json.contents[1].parts[2].thoughtSignature)
      return json.contents[1].parts[1].thoughtSignature
    end
    assert.is_string(first "gemini-3-flash-preview")
    assert.is_string(first "models/gemini-flash-latest")
    assert.is_nil(first "gemini-2.5-flash")
  end)

  it("is refused with the name of what cannot be said", function()
    assert.matches("^messages%[1%]%.tool_call_id is \"9\"", refusal(gemini.encode,
      hello { messages = { { role = "tool", tool_call_id = "9", content = "1" } } }))
    assert.matches("^messages has nothing but", refusal(gemini.encode,
      hello { messages = { { role = "system", content = "s" } } }))
    assert.equal("f", gemini.encode(hello { messages = { { role = "tool", tool_call_id = "9",
      name = "f", content = "1" } } }).json.contents[1].parts[1].functionResponse.name)
  end)
end)

local recorded = native [[{"responseId": "r1", "modelVersion": "gemini-2.5-flash", "candidates": [
  {"content": {"role": "model", "parts": [{"text": "hm", "thought": true},
    {"text": "Let me see.", "thoughtSignature": "dGV4dA=="},
    {"functionCall": {"name": "weather", "args": {"town": "Rome"}}, "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "now"}}]}, "finishReason": "STOP"}],
  "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 28, "thoughtsTokenCount": 244,
    "totalTokenCount": 281, "cachedContentTokenCount": 4}}]]

describe("an answer in Gemini's form #pure", function()
  it("is read from its parts", function()
    local response = gemini.decode(recorded)
    assert.same({ "r1", "gemini-2.5-flash", "Let me see.", "hm", "tool_calls" }, {
      response.id, response.model, response.content, response.reasoning, response.finish_reason })
    assert.same({ { id = "r1_1", name = "weather", arguments = { town = "Rome" },
      extra = { gemini = { thought_signature = "c2ln" } } },
      { id = "r1_2", name = "now", arguments = {} } }, response.tool_calls)
  end)

  it("counts thoughts as output", function()
    assert.same({ input_tokens = 9, output_tokens = 272, total_tokens = 281, cached_tokens = 4,
      reasoning_tokens = 244 }, gemini.usage(recorded))
  end)

  it("counts them where no total is told, and prompts of tools as input", function()
    assert.same({ input_tokens = 12, output_tokens = 5, total_tokens = 17, reasoning_tokens = 3 },
      gemini.usage { usageMetadata = { promptTokenCount = 9, toolUsePromptTokenCount = 3,
        candidatesTokenCount = 2, thoughtsTokenCount = 3 } })
  end)

  it("gets its signatures and ids back", function()
    local message = collect.message(gemini.decode(recorded))
    local parts = wire(gemini.encode(hello { messages = { message } })).contents[1].parts
    assert.same(native [=[[{"text": "Let me see.", "thoughtSignature": "dGV4dA=="},
      {"functionCall": {"name": "weather", "args": {"town": "Rome"}}, "thoughtSignature": "c2ln"},
      {"functionCall": {"name": "now", "args": {}}}]]=], parts)
    local with_id = gemini.decode(native [[{"candidates": [{"content": {"parts": [
      {"functionCall": {"id": "x7", "name": "f", "args": {}}}]}}]}]])
    assert.equal("x7", with_id.tool_calls[1].id)
    local json = gemini.encode(hello { messages = { collect.message(with_id),
      { role = "tool", tool_call_id = "x7", content = "1" } } }).json
    assert.equal("x7", json.contents[1].parts[1].functionCall.id)
    assert.equal("x7", json.contents[2].parts[1].functionResponse.id)
  end)

  it("ends for one of four reasons", function()
    for native_reason, reason in pairs { STOP = "stop", MAX_TOKENS = "length",
      SAFETY = "content_filter", RECITATION = "content_filter", OTHER = "stop" } do
      assert.equal(reason,
        gemini.decode({ candidates = { { finishReason = native_reason } } }).finish_reason)
    end
    local blocked = gemini.decode(native [[{"promptFeedback": {"blockReason": "SAFETY"},
      "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}]])
    assert.same({ "", "content_filter", 4 },
      { blocked.content, blocked.finish_reason, blocked.usage.input_tokens })
  end)

  it("is a failure where the model slipped", function()
    assert.is_false(gemini.failure(recorded))
    assert.is_true(gemini.failure { candidates = { { finishReason = "MALFORMED_FUNCTION_CALL" } } })
  end)
end)

local told = [[
data: {"responseId":"r1","candidates":[{"content":{"parts":[{"text":"hm","thought":true}],
  "role":"model"}}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":19,
  "thoughtsTokenCount":10}}
data: {"responseId":"r1","candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"}}],
  "usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"totalTokenCount":20,
  "thoughtsTokenCount":10}}
data: {"responseId":"r1","candidates":[{"content":{"parts":[{"text":"lo"},
  {"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c2ln"},
  {"functionCall":{"name":"g","args":{}}}]}}],"usageMetadata":{"promptTokenCount":9,
  "candidatesTokenCount":5,"totalTokenCount":24,"thoughtsTokenCount":10}}
data: {"responseId":"r1","modelVersion":"m","candidates":[{"content":{"parts":[{"text":""}]},
  "finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":6,
  "totalTokenCount":25,"thoughtsTokenCount":10}}
]]

describe("a stream in Gemini's form #pure", function()
  it("is told in chunks whose usage is that so far", function()
    local chunks, response = support.play(gemini, told)
    assert.equal(19, chunks[1].usage.total_tokens)
    assert.equal(2, #chunks[3].tool_calls)
    assert.same({ "r1", "m", "Hello", "hm", "tool_calls" }, { response.id, response.model,
      response.content, response.reasoning, response.finish_reason })
    assert.same({ input_tokens = 9, output_tokens = 16, total_tokens = 25, reasoning_tokens = 10 },
      response.usage)
    assert.is_true(gemini.ends_late)
  end)

  it("has its calls whole, with their signatures", function()
    local _, response = support.play(gemini, told)
    assert.same({ { id = "r1_1", name = "f", arguments = { a = 1 },
      extra = { gemini = { thought_signature = "c2ln" } } },
      { id = "r1_2", name = "g", arguments = {} } }, response.tool_calls)
  end)

  it("may be blocked, or fail", function()
    local function of(text) return gemini.event("message", native(text), {}) end
    assert.equal("content_filter", of('{"promptFeedback":{"blockReason":"OTHER"}}').finish_reason)
    assert.is_true(of('{"error":{"code":503,"status":"UNAVAILABLE"}}').error)
    assert.is_true(of('[{"error":{"code":429}}]').error)
    assert.is_true(of('{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}').error)
    assert.is_nil(of "{}")
  end)
end)

describe("Gemini's form #pure", function()
  it("keeps the neutral form whatever comes", function()
    support.check_robust(gemini, { answers = { recorded }, events = support.events(told),
      requests = { gemini.encode(hello { max_tokens = 5, tools = { { name = "f" } },
        messages = { { role = "system", content = "s" },
          { role = "user", content = "a" } } }).json } })
  end)

  it("costs its contents and what may come back", function()
    assert.equal(4 + 2 + 1 + 5, gemini.estimate { generationConfig = { maxOutputTokens = 5 },
      contents = { { role = "user", parts = { { text = "abcdefgh" } } } },
      systemInstruction = { parts = { { text = "abcd" } } } })
    assert.is_true(gemini.estimate { contents = { { parts = { { inlineData = {
      data = ("A"):rep(1000000) } } } } } } < 3000)
  end)
end)

describe("Gemini's embeddings #pure", function()
  it("are asked for one text", function()
    local encoded = embeddings.encode { model = "gemini-embedding-001", input = "a", kind = "query",
      dimensions = 256 }
    assert.equal("/models/gemini-embedding-001:embedContent", encoded.path)
    assert.same(native [[{"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY",
      "outputDimensionality": 256}]], wire(encoded))
  end)

  it("are asked for a list in one batch", function()
    local encoded = embeddings.encode { model = "gemini-embedding-001", input = { "a", "b" } }
    assert.equal("/models/gemini-embedding-001:batchEmbedContents", encoded.path)
    assert.same(native [[{"requests": [
      {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}},
      {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "b"}]}}]}]],
      wire(encoded))
    assert.matches("^input is missing", refusal(embeddings.encode, { model = "m" }))
    assert.matches("^kind", refusal(embeddings.encode, { model = "m", input = "a", kind = "x" }))
  end)

  it("are read from both answers", function()
    local one = native '{"embedding": {"values": [0.5, 1]}}'
    assert.same({ { 0.5, 1 } }, embeddings.decode(one).embeddings)
    local two = native [[{"embeddings": [{"values": [1]}, {"values": [2]}],
      "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}]]
    assert.same({ { 1 }, { 2 } }, embeddings.decode(two).embeddings)
    assert.equal(4, embeddings.decode(two).usage.input_tokens)
    support.check_robust(embeddings, { answers = { one, two }, other = true,
      requests = { embeddings.encode({ model = "m", input = { "a" } }).json } })
  end)

  it("cost their texts", function()
    assert.equal(2, embeddings.estimate { content = { parts = { { text = "abcdefgh" } } } })
  end)
end)
