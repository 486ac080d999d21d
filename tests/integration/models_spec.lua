--- Models of all providers over real HTTP: whatever a provider speaks, what is asked and
--- what comes back has one shape, in the four ways of asking.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local collect = require "keycycle.protocol.collect"
local conform = require "tests.support.conform"
local facts = require "tests.support.facts"
local raises = require "tests.support.raises"
local scripts = require "keycycle.loader.scripts"
local servers = require "tests.support.servers"

setup(conform.start)
teardown(conform.stop)

-- A session with a model; options for the server and the model.
local function open(name, options, opts, config)
  local s = conform.open(name, options, config)
  local all = { id = s.fact.model, max_tokens = 64,
    extra = name == "twelvelabs" and { video_id = "v" } or nil }
  for k, v in pairs(opts or {}) do all[k] = v end
  s.model = s.wrapper:get_model(name, all)
  return s
end

-- Reads a stream step by step: its texts joined, and the response.
local function read(stream)
  local parts = {}
  for text, chunk in stream do
    assert.equal("string", type(text))
    assert.equal(chunk.text or "", text)
    parts[#parts + 1] = text
  end
  local response = stream:response()
  assert.equal(response.content, table.concat(parts))
  return response, keycycle.info(stream)
end

-- The four ways to a response and its info.
local ways = {
  invoke = function(model, ...)
    local response = model:invoke(...)
    return response, keycycle.info(response)
  end,
  ainvoke = function(model, ...)
    local response = model:ainvoke(...):await()
    return response, keycycle.info(response)
  end,
  invoke_stream = function(model, ...) return read((model:invoke_stream(...))) end,
  ainvoke_stream = function(model, ...)
    local given = table.pack(...)
    return keycycle.run(function()
      return read((model:ainvoke_stream(table.unpack(given, 1, given.n))))
    end)
  end,
}

-- The response without what each provider says in its own way.
local function shape(response)
  local out = {}
  for k, v in pairs(response) do out[k] = v end
  assert.equal("table", type(out.raw))
  out.raw, out.id, out.extra = nil, nil, nil
  return out
end

for _, name in ipairs(facts.names()) do
  describe("a model of " .. name, function()
    local s
    after_each(function() s:close() end)

    it("answers in one shape in all four ways, with the provider's own usage", function()
      s = open(name)
      local before, input = 0, nil
      for _, way in ipairs { "invoke", "ainvoke", "invoke_stream", "ainvoke_stream" } do
        local response, info = ways[way](s.model, "Hello there, how are you?")
        local usage = response.usage
        input = input or usage.input_tokens
        assert.same({ content = "You said: Hello there, how are you?", tool_calls = {},
          finish_reason = "stop", model = s.fact.model, usage = usage }, shape(response), way)
        assert.equal(response.content, tostring(response))
        local total = s:journal()[1].total_tokens
        assert.same({ total - before, total - before, input },
          { usage.total_tokens, usage.input_tokens + usage.output_tokens, usage.input_tokens }, way)
        before = total
        assert.is_nil(info.usage.estimated)
        assert.same({ name, 1, usage.total_tokens, 1, "ok" }, { info.provider, info.key_index,
          info.usage.total_tokens, #info.attempts, info.attempts[1].kind })
        assert.equal(response.content,
          keycycle.json.decode(keycycle.json.encode(response)).content)
        assert.equal(way:find "stream" and s.fact.stream_path or s.fact.path, s:last().path)
      end
      assert.same({ 4, before, 0 }, s:used())
    end)

    it("gives what was read of a stream that is left early, and lets go of the key", function()
      s = open(name)
      local text = ("word "):rep(24)
      local kept
      for said, chunk in s.model:invoke_stream(text) do
        if said ~= "" and chunk then break end
      end
      kept = s.model:invoke_stream(text)
      kept:close()
      assert.same({ "", "" }, { kept:text(), kept:response().content })
      kept = s.model:invoke_stream(text)
      local first = ""
      while first == "" do first = kept() end
      kept:close()
      kept:close()
      assert.equal(first, kept:response().content)
      assert.same({ {}, "" }, { kept:response().tool_calls, kept:text() })
      assert.is_nil(kept())
      assert.equal(0, s:used()[3])
      assert.is_true(keycycle.info(kept).usage.total_tokens > 0)
    end)

    if asking[facts[name].form].tool then
      it("calls a tool and hears of its result, whole and as a stream", function()
        s = open(name, nil, { tools = { asking.TOOL } })
        for _, way in ipairs { "invoke", "invoke_stream" } do
          local messages = { { role = "system", content = "Be brief." },
            { role = "user", content = "mock:tool=weather" } }
          local response = ways[way](s.model, messages)
          local call = response.tool_calls[1]
          assert.same({ 1, "weather", asking.ARGUMENTS, "tool_calls", "" },
            { #response.tool_calls, call.name, call.arguments, response.finish_reason,
              response.content }, way)
          messages[3] = collect.message(response)
          messages[4] = { role = "tool", tool_call_id = call.id, name = call.name,
            content = "12 degrees" }
          response = ways[way](s.model, messages)
          assert.truthy(response.content:find("^The tool weather said: .*12 degrees"), way)
          assert.equal("stop", response.finish_reason)
        end
      end)
    end

    it("goes on with another key where one is refused", function()
      s = open(name, { dead = { conform.KEYS[1] } })
      for _, way in ipairs { "invoke", "invoke_stream" } do
        local response, info = ways[way](s.model, "Hi")
        assert.same({ "You said: Hi", 2 }, { response.content, info.key_index }, way)
      end
      assert.is_false(conform.shows_key(s.model))
    end)
  end)
end

describe("a model's options", function()
  local s
  before_each(function() keycycle.log.set_sink(function() end) end)
  after_each(function()
    keycycle.log.set_sink(nil)
    s:close()
  end)

  it("pin a key, that no other then stands in for", function()
    s = open("groq", { dead = { conform.KEYS[2] } }, { key_id = 2, pin_key = true })
    local err = raises(keycycle.InvalidKeyError, nil, s.model.invoke, s.model, "Hi")
    assert.same({ "groq", "openai/gpt-oss-120b" }, { err.provider, err.model })
    assert.same({ 2 }, conform.trail(err.attempts, "key_index"))
    assert.equal(1, keycycle.info(s.model:invoke("Hi", { key_id = 1 })).key_index)
    assert.is_false(conform.shows_key(err))
  end)

  it("have it wait for a key, or not, or not for long", function()
    s = open("groq", nil, { wait = false }, { limits = { requests_per_minute = 1 } })
    for _ = 1, 2 do s.model:invoke "Hi" end
    local err = raises(keycycle.NoAvailableKeyError, nil, s.model.invoke, s.model, "Hi")
    assert.equal("limited", err.code)
    assert.near(60, err.retry_after, 0.1)
    raises(keycycle.NoAvailableKeyError, nil, s.model.invoke_stream, s.model, "Hi", { wait = true,
      timeout = 5 })
    local info = s:meanwhile(function()
      return keycycle.info(s.model:invoke("Hi", { wait = true, timeout = 70 }))
    end)
    assert.near(60, info.waited, 1)
  end)

  it("bound its attempts, by number and by their policy", function()
    s = open("groq", { faults = { { kind = "server" } } })
    local err = raises(keycycle.APIError, nil, s.meanwhile, s, function()
      return s.model:invoke("Hi", { max_retries = 2 })
    end)
    assert.same({ 3, "server" }, { #err.attempts, err.code })
    err = raises(keycycle.APIError, nil, s.model.invoke, s.model, "Hi", { policy = "fail_fast" })
    assert.equal(1, #err.attempts)
    local seen
    raises(keycycle.APIError, nil, s.model.invoke_stream, s.model, "Hi", { policy = function(f)
      seen = f.streaming
      return "fail"
    end })
    assert.is_true(seen)
  end)

  it("bound its time", function()
    s = open "groq"
    assert.equal("timeout", raises(keycycle.TimeoutError, nil, s.model.invoke, s.model, "Hi",
      { deadline = 0 }).code)
    assert.same({ 0, 0, 0 }, s:used())
  end)

  it("reserve what is said, keep to one key, and send what is given", function()
    s = open("groq", nil, { affinity = "a talk" }, { limits = { tokens_per_minute = 1000 },
      selection = "round_robin" })
    local first = keycycle.info(s.model:invoke "Hi").key_index
    for _ = 1, 3 do assert.equal(first, keycycle.info(s.model:invoke "Hi").key_index) end
    local err = raises(keycycle.RateLimitError, nil, s.model.invoke, s.model, "Hi",
      { estimated_tokens = 1001 })
    assert.equal("impossible", err.code)
    s.model:invoke("Hi", { headers = { ["openai-project"] = "x" }, top_p = 0.5, stop = "never",
      extra = { user = "u" } })
    local last = s:last()
    assert.same({ "x", 0.5, { "never" }, "u", 64 }, { last.headers["openai-project"],
      last.json.top_p, last.json.stop, last.json.user, last.json.max_completion_tokens })
  end)

  it("let those with a lower priority number go first", function()
    s = open("groq", nil, { timeout = 200 }, { limits = { requests_per_minute = 1 } })
    for _ = 1, 2 do s.model:invoke "Hi" end
    local order = {}
    s:meanwhile(function()
      keycycle.gather {
        function() s.model:invoke("Hi", { priority = 7 }); order[#order + 1] = 7 end,
        function() s.model:invoke("Hi", { priority = 0 }); order[#order + 1] = 0 end,
        function() s.model:invoke("Hi", { priority = 7 }); order[#order + 1] = 7 end,
      }
    end)
    assert.equal(0, order[1] == 7 and order[2] or order[1])
  end)
end)

describe("a model", function()
  local s
  before_each(function() keycycle.log.set_sink(function() end) end)
  after_each(function()
    keycycle.log.set_sink(nil)
    s:close()
  end)

  it("is used by many tasks at once, each with its own answer", function()
    s = open("anthropic", nil, nil, { selection = "round_robin" })
    local jobs = {}
    for i = 1, 20 do
      jobs[i] = i % 2 == 0 and s.model:ainvoke("number " .. i) or function()
        return s.model:ainvoke_stream("number " .. i):text()
      end
    end
    for i, response in ipairs(keycycle.gather(jobs)) do
      assert.equal("You said: number " .. i, tostring(response))
    end
    assert.same({ 20, 0 }, { s:used()[1], s:used()[3] })
  end)

  it("raises what its provider says, in all four ways", function()
    s = open("anthropic", { faults = { { kind = "context" } } })
    for way, ask in pairs(ways) do
      local err = raises(keycycle.APIError, nil, ask, s.model, "Hi")
      assert.same({ "context_length", "anthropic", 400 }, { err.code, err.provider, err.status },
        way)
    end
    assert.equal(0, s:used()[3])
  end)

  it("raises what breaks a stream off, after what came before", function()
    for _, name in ipairs { "groq", "anthropic", "gemini", "cohere", "perplexity", "twelvelabs" } do
      for fault, class in pairs { midstream = "APIError", cut = "TransportError" } do
        s = open(name)
        local stream = s.model:invoke_stream("mock:fault=" .. fault .. (" word"):rep(20))
        local parts = {}
        local err = raises(keycycle[class], nil, function()
          for text in stream do parts[#parts + 1] = text end
        end)
        assert.same({ name, "You said" }, { err.provider, table.concat(parts):sub(1, 8) }, fault)
        assert.equal(table.concat(parts), stream:response().content)
        assert.equal(0, s:used()[3])
        s:close()
      end
    end
    s = open "groq"
  end)

  it("is cancelled with its task, and its key is free again", function()
    s = open "groq"
    local task = s.model:ainvoke "Hi"
    keycycle.step(0)
    task:cancel()
    raises(keycycle.CancelledError, nil, task.await, task)
    assert.equal(0, s:used()[3])
  end)

  it("keeps its name where the server is asked for another", function()
    s = open "groq"
    assert.equal("other", s.model:invoke("Hi", { model = "other" }).model)
    assert.equal("openai/gpt-oss-120b", s.model:invoke("Hi").model)
    assert.equal("model openai/gpt-oss-120b of groq", tostring(s.model))
  end)
end)

describe("a model of a provider of one's own", function()
  local server, wrapper
  after_each(function()
    wrapper:stop()
    server.stop()
    keycycle.log.set_sink(nil)
  end)

  local function start(name, answers)
    server = servers.canned(answers)
    wrapper = keycycle.MultiClientWrapper.new { scripts = "tests/fixtures/scripts" }
    wrapper:register_provider(name, { keys = { "own-aaaaaaaaaaaaaaaa-1" }, base_url = server.url,
      default_model = "star" })
    return wrapper:get_model(name)
  end

  local LYRA = [[return function(request)
    if not request.body:find '"live":true' then
      return 200, {}, '{"said":"Good day","cost":{"heard":3,"spoken":2}}'
    end
    return 200, { ["content-type"] = "text/event-stream" }, {
      "event: word\ndata: {\"w\":\"Good\"}\n\n",
      "event: word\ndata: {\"w\":\" day\"}\n\n", "event: over\ndata: {\"heard\":3}\n\n" }
  end]]

  it("runs its protocol in the box, whole and as a stream", function()
    local model = start("lyra", LYRA)
    local usage = { input_tokens = 3, output_tokens = 2, total_tokens = 5 }
    local response = model:invoke "Hello"
    assert.same({ "Good day", usage, "star" }, { response.content, response.usage, response.model })
    response = read((model:invoke_stream { { role = "user", content = "Hello" } }))
    assert.same({ "Good day", usage, "star" }, { response.content, response.usage, response.model })
    raises(keycycle.KeycycleError, "messages[1].role is", model.invoke, model, { { content = "" } })
    assert.equal(2, #server.journal())
  end)

  it("says what it lacks to be one", function()
    server = servers.canned(LYRA)
    wrapper = keycycle.MultiClientWrapper.new { scripts = "tests/fixtures/scripts" }
    wrapper:register_provider("nimbus", { keys = { { api_key = "own-aaaaaaaaaaaaaaaa-1",
      workspace = "w" } }, base_url = server.url })
    raises(keycycle.InvalidConfigurationError, "none of its routes has the protocol",
      wrapper.get_model, wrapper, "nimbus", { id = "x" })
  end)

  it("answers the same where its server does not stream", function()
    local model = start("quasar", [[return function()
      return 200, {}, '{"choices":[{"message":{"content":"Good day"},"finish_reason":"stop"}]}'
    end]])
    local response = read((model:invoke_stream "Hello"))
    assert.same({ "Good day", "stop", {} },
      { response.content, response.finish_reason, response.tool_calls })
    assert.truthy(server.journal()[1].body:find('"stream":true', 1, true))
  end)

  it("answers whole where there are only streams", function()
    scripts.replace { policy = {}, limits = {}, provider = { flow = keycycle.provider {
      name = "flow", base_url = "http://127.0.0.1:1",
      auth = { header = "x-key", value = "{api_key}" },
      routes = { say = { method = "POST", path = "/say", protocol = "chat", stream = true } },
      protocols = { chat = { encode = function(request) return { json = { live = request.stream } }
        end, event = function(_, data) return { text = data.w, done = data.last } end } },
    } } }
    server = servers.canned [[return function()
      return 200, { ["content-type"] = "text/event-stream" }, { 'data: {"w":"Good"}\n\n',
        'data: {"w":" day","last":true}\n\n' }
    end]]
    wrapper = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("flow", { keys = { "own-aaaaaaaaaaaaaaaa-1" },
      base_url = server.url })
    assert.equal("Good day", tostring(wrapper:get_model("flow"):invoke "Hello"))
    assert.equal('{"live":true}', server.journal()[1].body)
    scripts.replace { provider = {}, policy = {}, limits = {} }
  end)

  it("breaks its stream off where its protocol fails in the middle", function()
    keycycle.log.set_sink(function() end)
    local model = start("lyra", [[return function()
      return 200, { ["content-type"] = "text/event-stream" }, {
        "event: word\ndata: {\"w\":\"Good\"}\n\n", "event: word\ndata: {\"w\":[1]}\n\n",
        "event: word\ndata: {\"w\":\" day\"}\n\n", "event: over\ndata: {\"heard\":3}\n\n" }
    end]])
    local stream = model:invoke_stream "Hello"
    assert.equal("Good", stream())
    local err = raises(keycycle.ScriptError, "cannot read the answer", stream)
    assert.equal("lyra", err.provider)
    assert.equal("Good", stream:response().content)
    assert.equal(0, wrapper:get_manager("lyra"):get_global_stats().total.in_flight)
  end)
end)
