--- The mock in Gemini's style: what it answers, streams and refuses.
local keycycle = require "keycycle"
local styles = require "tests.support.styles"

local SCHEMA = { type = "object", required = { "city", "days" }, properties = {
  city = { type = "string" }, days = { type = "integer" }, hint = { type = "string" } } }
local ARGUMENTS = { city = "x", days = 1 }

local mock
local function start(...) mock = styles.start(...) end
after_each(function() mock:stop() end)

describe("the style gemini", function()
  local PATH = "/v1beta/models/m"
  local tools = { { functionDeclarations = { { name = "weather", parameters = SCHEMA } } } }
  local function ask(contents, more, verb)
    local body = { contents = type(contents) == "table" and contents
      or { { role = "user", parts = { { text = contents } } } } }
    for k, v in pairs(more or {}) do body[k] = v end
    return mock:send(PATH .. (verb or ":generateContent"), body)
  end

  it("answers with candidates; thoughts are beside them in the usage", function()
    start "gemini"
    local answer = ask("mock:reasoning=7 mock:cached=2",
      { systemInstruction = { parts = { { text = "Be brief." } } } })
    local candidate, usage = answer.json.candidates[1], answer.json.usageMetadata
    assert.same({ "STOP", "model", "You said: mock:reasoning=7 mock:cached=2" },
      { candidate.finishReason, candidate.content.role, candidate.content.parts[1].text })
    local key = mock:journal().keys[1]
    assert.same({ key.input_tokens, key.output_tokens - 7, 7, 2, key.total_tokens },
      { usage.promptTokenCount, usage.candidatesTokenCount, usage.thoughtsTokenCount,
        usage.cachedContentTokenCount, usage.totalTokenCount })
    local cut = ask("long enough", { generationConfig = { maxOutputTokens = 2 } }).json
    assert.equal("MAX_TOKENS", cut.candidates[1].finishReason)
    local text = ask("hi", { generationConfig = { responseSchema = SCHEMA,
      responseMimeType = "application/json" } }).json.candidates[1].content.parts[1].text
    assert.same(ARGUMENTS, keycycle.json.decode(text))
  end)

  it("takes the key as a header or in the query, and never writes it down", function()
    start("gemini", "--rpm 9 --tpm 900")
    local answer = mock:send(PATH .. ":generateContent?key=" .. styles.KEY,
      mock.style.body "hi", { headers = { ["x-goog-api-key"] = false } })
    assert.equal(200, answer.status)
    for name in pairs(answer.headers) do
      assert.is_nil(name:find "limit" or name:find "retry")
    end
    mock:say "hi"
    local written = mock:journal().requests
    assert.same({ "?key", {}, "x-goog-api-key" }, { written[1].auth, written[1].query,
      written[2].auth })
    assert.is_nil(keycycle.json.encode(written):find(styles.KEY, 1, true))
    local missing = mock:send(PATH .. ":generateContent", {},
      { headers = { ["x-goog-api-key"] = false } })
    assert.same({ 403, "PERMISSION_DENIED" }, { missing.status, missing.json.error.status })
  end)

  it("streams pieces, each with the usage so far", function()
    start "gemini"
    local events = mock:stream("one two three four").events
    assert.same({ "You said: one", " two three four" },
      { events[1].data.candidates[1].content.parts[1].text,
        events[2].data.candidates[1].content.parts[1].text })
    local first, last = events[1].data, events[2].data
    assert.is_nil(first.candidates[1].finishReason)
    assert.equal("STOP", last.candidates[1].finishReason)
    assert.is_true(first.usageMetadata.totalTokenCount < last.usageMetadata.totalTokenCount)
    assert.equal(mock:journal().keys[1].total_tokens, last.usageMetadata.totalTokenCount)
    local array = ask("one two three four", nil, ":streamGenerateContent")
    assert.same({ 2, "application/json" }, { #array.json, array.headers["content-type"] })
  end)

  it("calls functions with objects, and wants their answers as objects", function()
    start "gemini"
    local said = ask("mock:tool", { tools = tools }).json.candidates[1]
    assert.same({ "STOP", "weather", ARGUMENTS }, { said.finishReason,
      said.content.parts[1].functionCall.name, said.content.parts[1].functionCall.args })
    local history = { { role = "user", parts = { { text = "mock:tool" } } }, said.content,
      { role = "user", parts = { { functionResponse = { name = "weather",
        response = { result = "rain" } } } } } }
    assert.equal('The tool weather said: {"result":"rain"}',
      ask(history, { tools = tools }).json.candidates[1].content.parts[1].text)
    history[3].parts[1].functionResponse.response = "rain"
    assert.equal(400, ask(history).status)
    history[3].parts[1].functionResponse = { name = "another", response = {} }
    assert.equal(400, ask(history).status)
  end)

  it("refuses what is not Gemini's", function()
    start "gemini"
    for _, body in ipairs { { messages = {} }, { contents = {} }, { contents = { { role = "user",
      parts = {} } } }, { contents = { { role = "assistant", parts = { { text = "x" } } } } },
      { contents = { { parts = { { type = "text", text = "x" } } } } },
      { contents = { { parts = { {} } } } } } do
      local answer = mock:send(PATH .. ":generateContent", body)
      assert.same({ 400, 400, "INVALID_ARGUMENT" },
        { answer.status, answer.json.error.code, answer.json.error.status })
    end
    assert.equal(404, mock:send("/v1beta/nothing", {}).status)
  end)

  it("embeds, counts and lists", function()
    start "gemini"
    local content = { parts = { { text = "some text" } } }
    assert.equal(3, #mock:send(PATH .. ":embedContent", { content = content,
      outputDimensionality = 3 }).json.embedding.values)
    local batch = { requests = { { model = "models/m", content = content } } }
    assert.equal(1, #mock:send(PATH .. ":batchEmbedContents", batch).json.embeddings)
    batch.requests[1].model = "m"
    assert.equal(400, mock:send(PATH .. ":batchEmbedContents", batch).status)
    assert.equal(5, ask("hi", nil, ":countTokens").json.totalTokens)
    assert.truthy(mock:send("/v1beta/models").json.models[1].name:find "^models/gemini")
  end)

  it("names the quota of tokens", function()
    start("gemini", "--tpm 10")
    local refused = mock:say(("long "):rep(20)).json.error
    assert.same({ "GenerateContentInputTokensPerMinutePerProjectPerModel-FreeTier", "10", "m" },
      { refused.details[2].violations[1].quotaId, refused.details[2].violations[1].quotaValue,
        refused.details[2].violations[1].quotaDimensions.model })
    assert.truthy(refused.message:find("limit: 10, model: m\nPlease retry in 60s.", 1, true))
  end)
end)
