local analyze = require "keycycle.protocol.twelvelabs_analyze"
local embeddings = require "keycycle.protocol.openai_embeddings"
local support = require "tests.support.protocol"
local transcription = require "keycycle.protocol.openai_transcription"

local native, wire, refusal = support.native, support.wire, support.refusal

describe("OpenAI's embeddings #pure", function()
  it("are asked for", function()
    assert.same(native '{"model": "m", "input": ["a"], "dimensions": 256}',
      wire(embeddings.encode { model = "m", input = "a", dimensions = 256, kind = "query" }))
    assert.same(native '{"model": "m", "input": ["a", "b"], "input_type": "passage"}',
      wire(embeddings.encode({ model = "m", input = { "a", "b" } },
        { input_types = { query = "query", document = "passage" } })))
    assert.matches("^input is empty", refusal(embeddings.encode, { model = "m", input = {} }))
    assert.matches("^input%[2%]", refusal(embeddings.encode, { model = "m", input = { "a", 5 } }))
  end)

  it("are read in the order of their input", function()
    local body = native [[{"model": "m", "data": [{"index": 1, "embedding": [2]},
      {"index": 0, "embedding": [1, 0.5]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}]]
    local response = embeddings.decode(body)
    assert.same({ { 1, 0.5 }, { 2 } }, response.embeddings)
    assert.equal("m", response.model)
    assert.same({ input_tokens = 8, output_tokens = 0, total_tokens = 8 }, response.usage)
    support.check_robust(embeddings, { answers = { body }, other = true,
      requests = { { input = { "a", "b" } }, { input = { { 1, 2 } } } } })
  end)

  it("cost what their input is long", function()
    assert.equal(2, embeddings.estimate { input = "12345678" })
    assert.equal(4, embeddings.estimate { input = { "12345678", "12345678" } })
    assert.equal(3, embeddings.estimate { input = { 15, 16, 17 } })
    assert.equal(5, embeddings.estimate { input = { { 1, 2 }, { 3, 4, 5 } } })
    assert.equal(0, embeddings.estimate {})
  end)
end)

describe("a transcription #pure", function()
  it("is asked for by a form with a file", function()
    assert.same({ { name = "model", value = "whisper-1" }, { name = "language", value = "en" },
      { name = "prompt", value = "p" }, { name = "temperature", value = "0.5" },
      { name = "response_format", value = "verbose_json" }, { name = "stream", value = "true" },
      { name = "timestamp_granularities[]", value = "word" },
      { name = "timestamp_granularities[]", value = "segment" },
      { name = "user", value = "u" }, { name = "file", path = "/a/b.mp3" } },
      transcription.encode { model = "whisper-1", file = "/a/b.mp3", language = "en", prompt = "p",
        temperature = 0.5, format = "verbose_json", stream = true, extra = { user = "u",
          ["timestamp_granularities[]"] = { "word", "segment" } } }.form)
  end)

  it("is refused with the name of what is wrong", function()
    local function why(request) return refusal(transcription.encode, request) end
    assert.matches("^file must be", why { model = "m" })
    assert.matches("^model is missing", why { file = "f" })
    assert.matches("^format is mp3", why { model = "m", file = "f", format = "mp3" })
    assert.matches("^extra%.a cannot", why { model = "m", file = "f", extra = { a = { {} } } })
    assert.matches("^extra", why { model = "m", file = "f", extra = { "a" } })
  end)

  it("is read as JSON or as the text itself", function()
    local body = native [[{"text": "Hello.", "usage": {"type": "tokens", "input_tokens": 14,
      "output_tokens": 5, "total_tokens": 19}}]]
    local response = transcription.decode(body)
    assert.equal("Hello.", response.text)
    assert.equal(19, response.usage.total_tokens)
    local long = transcription.decode { text = "a", duration = 8.5, segments = {} }
    assert.same({ "a", 8.5 }, { long.text, long.seconds })
    assert.is_nil(long.usage)
    assert.equal(9, transcription.decode({ usage = { type = "duration", seconds = 9 } }).seconds)
    assert.equal("Hello.\n", transcription.decode("Hello.\n").text)
    support.check_robust(transcription, { answers = { body }, other = true, requests = { {} } })
  end)

  it("may come as a stream", function()
    local text = [[
data: {"type":"transcript.text.delta","delta":"Hel"}
data: {"type":"transcript.text.delta","delta":"lo"}
data: {"type":"transcript.text.done","text":"Hello","usage":{"input_tokens":14,"output_tokens":5}}
]]
    local chunks, response = support.play(transcription, text)
    assert.same({ "Hello", "stop", 19, true }, { response.content, response.finish_reason,
      response.usage.total_tokens, chunks[#chunks].done })
    assert.is_true(transcription.event("error", {}).error)
    support.check_robust(transcription, { events = support.events(text) })
  end)
end)

describe("an analysis of a video #pure", function()
  local function ask(more)
    local request = { extra = { video_id = "v1" }, messages = {
      { role = "system", content = "Be brief." }, { role = "user", content = "What?" } } }
    for k, v in pairs(more or {}) do request[k] = v end
    return request
  end

  it("is asked for by one prompt, and streams only where it is told to", function()
    assert.same(native [[{"video_id": "v1", "prompt": "Be brief.\n\nWhat?", "stream": false}]],
      wire(analyze.encode(ask())))
    assert.same(native [[{"video_id": "v1", "prompt": "Be brief.\n\nWhat?", "stream": true,
      "model_name": "pegasus1.2", "temperature": 0.2, "max_tokens": 100,
      "response_format": {"type": "json_schema", "json_schema": {"type": "object"}}}]],
      wire(analyze.encode(ask { model = "pegasus1.2", temperature = 0.2, max_tokens = 100,
        stream = true, response_format = { type = "json_schema", schema = { type = "object" } } })))
  end)

  it("is refused with the name of what cannot be said", function()
    local function why(more) return refusal(analyze.encode, ask(more)) end
    assert.matches("^extra%.video_id is missing", why { extra = {} })
    assert.matches("^tools", why { tools = { { name = "f" } } })
    assert.matches("^messages%[1%]: ",
      why { messages = { { role = "assistant", content = "a" } } })
    assert.matches("^response_format", why { response_format = { type = "json" } })
  end)

  local recorded = native [[{"id": "a1", "data": "A cat.", "finish_reason": "stop",
    "usage": {"output_tokens": 4}}]]

  it("is read", function()
    local response = analyze.decode(recorded)
    assert.same({ "a1", "A cat.", "stop", 4 }, { response.id, response.content,
      response.finish_reason, response.usage.output_tokens })
  end)

  it("is no failure where it was cut short, though it has an error", function()
    local cut = native [[{"data": "A", "finish_reason": "length", "error": {"message": "m"}}]]
    assert.is_false(analyze.failure(cut))
    assert.equal("length", analyze.decode(cut).finish_reason)
    assert.is_true(analyze.failure { error = { message = "m" } })
  end)

  local told = [[
{"event_type":"stream_start","metadata":{"generation_id":"g1"}}
{"event_type":"text_generation","text":"A "}
{"event_type":"text_generation","text":"cat."}
{"event_type":"stream_end","finish_reason":"stop","metadata":{"generation_id":"g1",
  "usage":{"output_tokens":4}}}
]]

  it("streams JSON a line", function()
    local chunks, response = support.play(analyze, told)
    assert.same({ "g1", "A cat.", "stop", 4 }, { response.id, response.content,
      response.finish_reason, response.usage.total_tokens })
    assert.is_true(chunks[#chunks].done)
    local function of(text) return analyze.event("message", native(text), {}) end
    assert.is_true(of('{"event_type":"stream_end","error":{"message":"m"}}').error)
    assert.equal("length", of([[{"event_type": "stream_end", "finish_reason": "length",
      "error": {"message": "m"}}]]).finish_reason)
  end)

  it("keeps the neutral form whatever comes", function()
    support.check_robust(analyze, { answers = { recorded }, events = support.events(told),
      requests = { { prompt = "abcdefgh", max_tokens = 5 } } })
    assert.equal(2 + 5, analyze.estimate { prompt = "abcdefgh", max_tokens = 5 })
  end)
end)
