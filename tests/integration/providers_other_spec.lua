--- What providers have beside chat, over real HTTP: embeddings, rerank, transcriptions,
--- the responses of OpenAI and the messages of Anthropic where others speak them too;
--- natively, and neutrally through their protocols.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local collect = require "keycycle.protocol.collect"
local conform = require "tests.support.conform"
local facts = require "tests.support.facts"
local files = require "tests.support.files"
local provider = require "keycycle.provider"
local turn = require "keycycle.mock.turn"
local wire = require "keycycle.call.wire"

setup(conform.start)
teardown(conform.stop)

local s
local function open(name) s = conform.open(name) end
after_each(function() s:close() end)

local function each_with(field, test)
  for _, name in ipairs(facts.names()) do
    if facts[name][field] then test(name, facts[name][field]) end
  end
end

local function without(request, names)
  local out = {}
  for k, v in pairs(request) do out[k] = v end
  for _, name in ipairs(names or {}) do out[name] = nil end
  return out
end

-- The one request that came stands as the fact has it; its usage is what was settled.
local function check_wire(fact, response)
  local entry, count = s:last()
  assert.same({ 1, "POST", fact.path, 1 }, { count, entry.method, entry.path, entry.key })
  assert.same(without(fact.request, fact.in_path), entry.json)
  local theirs, used = s:journal()[1], s:used(1)
  assert.same({ 1, 0 }, { used[1], used[3] })
  if not fact.used then return end
  assert.is_true(theirs.total_tokens > 0)
  assert.same({ theirs.total_tokens, theirs.total_tokens },
    { used[2], keycycle.info(response).usage.total_tokens })
end

local function vectors(size)
  return { turn.vector("first", size), turn.vector("second", size) }
end

describe("embeddings", function()
  each_with("embed", function(name, fact)
    it("come from " .. name .. " in the order of their texts", function()
      open(name)
      local response = s:at(fact.call)(fact.request)
      local found, expected = fact.vectors(response), vectors(fact.size)
      if found[1] then assert.same(expected[1], found[1]) end
      assert.same(expected[2], found[2])
      check_wire(fact, response)
    end)

    local protocol = wire.protocol(provider.get(name), "embeddings")
    if protocol then
      it("come from " .. name .. " for a neutral request as well", function()
        open(name)
        local made = wire.encode(provider.get(name), "embeddings",
          { model = fact.request.model, input = { "first", "second" }, kind = "document" })
        local request = without(made.json)
        for _, field in ipairs(fact.in_path or {}) do request[field] = fact.request[field] end
        local response = s:at(fact.call)(request)
        local neutral = protocol.decode(response)
        assert.same(vectors(), neutral.embeddings)
        local entry = s:last()
        assert.same({ fact.path, made.json }, { entry.path, entry.json })
        assert.equal(name == "nvidia" and "passage" or nil,
          name ~= "cohere" and entry.json.input_type or nil)
        if fact.used then
          assert.equal(s:journal()[1].total_tokens, neutral.usage.total_tokens)
        end
      end)
    end
  end)
end)

describe("a rerank", function()
  each_with("rerank", function(name, fact)
    it("by " .. name .. " puts the best document first", function()
      open(name)
      local response = s:at(fact.call)(fact.request)
      assert.same({ 1, 1 }, { #response.results, response.results[1].index })
      check_wire(fact, response)
    end)

    it("by " .. name .. " is the same for a neutral request", function()
      open(name)
      local adapter = provider.get(name)
      local made = wire.encode(adapter, "rerank", fact.request)
      local neutral = wire.protocol(adapter, "rerank").decode(s.client:rerank(made.json))
      assert.same({ { index = 2, score = 1 } }, neutral.results)
      assert.same(fact.request, (s:last()).json)
    end)
  end)
end)

describe("a transcription", function()
  local AUDIO = "RIFF\r\n--mark\r\n" .. ("x"):rep(100)

  each_with("transcribe", function(name, fact)
    it("by " .. name .. " takes a file and gives its text", function()
      open(name)
      files.with(AUDIO, function(path)
        local response = s:at(fact.call) { model = fact.model, file = path, language = "en" }
        assert.equal(#AUDIO .. " bytes", response.text)
        local entry = s:last()
        assert.equal(fact.path, entry.path)
        assert.truthy(entry.headers["content-type"]:find "^multipart/form%-data; boundary=")
        for _, part in ipairs { 'name="model"\r\n\r\n' .. fact.model .. "\r\n",
          'name="language"\r\n\r\nen\r\n',
          'name="file"; filename="' .. path:match "[^/]*$" .. '"' } do
          assert.truthy(entry.body:find(part, 1, true), part)
        end
        assert.equal(1, entry.key)
        local used = s:used()
        assert.same({ 1, 0 }, { used[1], used[3] })
      end)
    end)

    it("by " .. name .. " may be a plain text, and is asked for neutrally too", function()
      open(name)
      local adapter = provider.get(name)
      files.with(AUDIO, function(path)
        local made = wire.encode(adapter, "transcription",
          { model = fact.model, file = path, format = "text" })
        local request = {}
        for _, field in ipairs(made.form) do request[field.name] = field.value or field.path end
        local response = s:at(fact.call)(request)
        assert.equal(#AUDIO .. " bytes\n", response)
        assert.equal(response, wire.protocol(adapter, "transcription").decode(response).text)
      end)
    end)
  end)
end)

-- Another form of a chat that a provider has: natively and neutrally, whole and streamed.
local function check_form(name, form, path, as)
  open(name)
  s.form = form
  local response = s:ask "Hello"
  assert.equal("You said: Hello", form.text(response))
  local entry = s:last()
  assert.same({ path, "", s:request "Hello" }, { entry.path, entry.query, entry.json })
  assert.equal(s:journal()[1].total_tokens, keycycle.info(response).usage.total_tokens)
  local texts = {}
  for event in s:stream "one two three four five" do texts[#texts + 1] = form.said(event) end
  assert.equal("You said: one two three four five", table.concat(texts))
  local adapter = provider.get(name)
  local protocol = wire.protocol(adapter, as)
  for _, stream in ipairs { false, true } do
    local made = wire.encode(adapter, as, { model = s.fact.model, max_tokens = 64,
      tools = { asking.TOOL }, stream = stream,
      messages = { { role = "user", content = "mock:tool=weather" } } })
    local answer = form.call(s.client)(made.json)
    local neutral
    if stream then
      local whole, state = collect.new(), {}
      for event in answer do whole:add(protocol.event("message", event, state)) end
      neutral = whole:response()
    else
      neutral = protocol.decode(answer)
    end
    local call = neutral.tool_calls[1]
    assert.same({ "weather", asking.ARGUMENTS, "tool_calls" },
      { call.name, call.arguments, neutral.finish_reason })
    assert.equal(keycycle.info(answer).usage.total_tokens, neutral.usage.total_tokens)
  end
  assert.same({ 4, s:journal()[1].total_tokens, 0 }, s:used())
end

describe("the form of OpenAI's responses", function()
  each_with("responses", function(name, path)
    it("is spoken with " .. name, function()
      check_form(name, asking.responses, path, "responses")
    end)
  end)
end)

describe("the form of Anthropic's messages", function()
  each_with("messages", function(name, path)
    it("is spoken with " .. name, function()
      check_form(name, asking.messages, path, "messages")
    end)
  end)
end)
