--- Models, with attempts that a test answers itself.
local keycycle = require "keycycle"
local attempt = require "keycycle.call.attempt"
local collect = require "keycycle.protocol.collect"
local raises = require "tests.support.raises"
local scripts = require "keycycle.loader.scripts"

local KEYS = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba" }
local TOOL = { name = "weather", parameters = { type = "object", properties = {} } }

local real, wrapper
local runs -- what each attempt was given: { json, path, query, headers, key, tokens, opts }

local function said(text)
  return { id = "1", model = "m-1", choices = { { message = { content = text },
    finish_reason = "stop" } }, usage = { prompt_tokens = 2, completion_tokens = 3 } }
end

local function refusal(status)
  return { status = status, headers = {}, sent = true, message = "no", body = "{}" }
end

-- A provider "p" whose answers are `answer(run, n)`: a body, or a failed result.
local function start(answer, config, definition)
  local own = definition and keycycle.provider(definition)
  scripts.replace { provider = { p = own }, policy = {}, limits = {} }
  runs = {}
  wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE",
    clock = keycycle.clock.manual(1e9) }
  local all = { base_url = "http://127.0.0.1:1/v1", keys = KEYS, default_model = "m",
    selection = "fill_first" }
  for k, v in pairs(config or {}) do all[k] = v or nil end
  wrapper:register_provider("p", all)
  attempt.run = function(run, lease)
    local request = run.request
    runs[#runs + 1] = { json = request.json, path = request.path, query = request.query,
      headers = request.headers, stream = request.stream, key = lease.index,
      tokens = lease.tokens, opts = run.opts }
    local result = answer(run, #runs)
    if result.sent then return result end
    return { ok = true, status = 200, headers = {}, body = "", decoded = result }
  end
end

local function model(opts) return wrapper:get_model("p", opts) end

local function echo() return said "Hello" end

local function in_flight()
  return wrapper:get_manager("p"):get_global_stats().total.in_flight
end

before_each(function()
  real = attempt.run
  keycycle.log.set_sink(function() end)
end)
after_each(function()
  attempt.run = real
  keycycle.log.set_sink(nil)
  scripts.replace { provider = {}, policy = {}, limits = {} }
  wrapper:stop()
end)

describe("a model", function()
  it("is asked a text, and answers in the neutral shape", function()
    start(echo)
    local response = model():invoke "Hi"
    assert.equal("Hello", tostring(response))
    assert.same({ id = "1", model = "m-1", content = "Hello", tool_calls = {},
      finish_reason = "stop", raw = said "Hello",
      usage = { input_tokens = 2, output_tokens = 3, total_tokens = 5 } }, response)
    assert.same({ model = "m", messages = { { role = "user", content = "Hi" } } }, runs[1].json)
    assert.same({ "p", "m", 1, 5 }, { keycycle.info(response).provider,
      keycycle.info(response).model, keycycle.info(response).key_index,
      keycycle.info(response).usage.total_tokens })
    assert.equal(0, in_flight())
  end)

  it("shows its name and its provider, and nothing of its keys", function()
    start(echo)
    local one = model { id = "large" }
    assert.same({ "model large of p", "large", "p" }, { tostring(one), one.id, one.provider })
    for k in pairs(one) do assert.truthy(k == "id" or k == "provider", k) end
  end)

  it("answers with what JSON can say, an empty list being one", function()
    start(echo)
    local text = keycycle.json.encode(model():invoke "Hi")
    assert.truthy(text:find('"tool_calls":[]', 1, true), text)
    assert.equal("Hello", keycycle.json.decode(text).content)
  end)

  it("has options of its own, and those of one call win", function()
    start(echo)
    local one = model { id = "large", temperature = 0, max_tokens = 9, tools = { TOOL },
      estimated_tokens = 100, headers = { ["x-a"] = "1" } }
    one:invoke("Hi", { temperature = 1, estimated_tokens = 40, seed = 7, model = "other" })
    assert.same({ "other", 1, 9, 7, "weather", 40, "1" }, { runs[1].json.model,
      runs[1].json.temperature, runs[1].json.max_tokens, runs[1].json.seed,
      runs[1].json.tools[1]["function"].name, runs[1].tokens, runs[1].opts.headers["x-a"] })
    one:invoke "Hi"
    assert.same({ "large", 0, 100 }, { runs[2].json.model, runs[2].json.temperature,
      runs[2].tokens })
  end)

  it("reserves what its provider estimates, where nothing is said", function()
    start(echo)
    model():invoke("Hi", { max_tokens = 500 })
    assert.is_true(runs[1].tokens > 500 and runs[1].tokens < 520)
  end)

  it("has its usage read, and fields left out, as its options say", function()
    start(echo)
    local response = model({ excluded_params = { "seed" }, usage_extractor = function(body)
      return { input_tokens = body.usage.prompt_tokens, output_tokens = 40 }
    end }):invoke("Hi", { seed = 7, top_p = 0.5 })
    assert.same({ input_tokens = 2, output_tokens = 40, total_tokens = 42 }, response.usage)
    assert.same({ 42, 0.5 }, { keycycle.info(response).usage.total_tokens, runs[1].json.top_p })
    assert.is_nil(runs[1].json.seed)
  end)

  it("never writes to what it is given", function()
    start(echo)
    local messages = { { role = "system", content = "Be brief." },
      { role = "user", content = { "Look", { type = "image", url = "https://a/b.png" } } } }
    local opts = { extra = { user = "u" }, tools = { TOOL }, stop = "x" }
    local before = keycycle.json.encode { messages, opts }
    model(opts):invoke(messages, opts)
    assert.equal(before, keycycle.json.encode { messages, opts })
    assert.same({ "u", { "x" } }, { runs[1].json.user, runs[1].json.stop })
  end)

  it("takes up a conversation with its own answers", function()
    start(function(_, n)
      if n > 1 then return said "12 degrees" end
      return { choices = { { finish_reason = "tool_calls", message = { tool_calls = { { id = "c1",
        ["function"] = { name = "weather", arguments = '{"city":"Bonn"}' } } } } } } }
    end)
    local one = model { tools = { TOOL } }
    local messages = { { role = "user", content = "How warm?" } }
    local response = one:invoke(messages)
    assert.same({ "", "tool_calls", { { id = "c1", name = "weather",
      arguments = { city = "Bonn" } } } },
      { response.content, response.finish_reason, response.tool_calls })
    messages[2] = collect.message(response)
    messages[3] = { role = "tool", tool_call_id = "c1", content = "12" }
    assert.equal("12 degrees", one:invoke(messages).content)
    assert.equal("c1", runs[2].json.messages[3].tool_call_id)
  end)

  it("has no name where nothing is named, unless its provider needs none", function()
    start(echo, { default_model = false })
    local err = raises(keycycle.InvalidConfigurationError, "no model is named", model)
    assert.equal("p", err.provider)
    assert.equal("large", model { model = "large" }.id)
    wrapper:register_provider("twelvelabs", { keys = { { api_key = KEYS[1], index_id = "i" } } })
    assert.is_nil(wrapper:get_model("twelvelabs").id)
  end)

  it("is of a provider that is registered", function()
    start(echo)
    local err = raises(keycycle.InvalidConfigurationError, "registered: p", wrapper.get_model,
      wrapper, "q")
    assert.equal("unknown_provider", err.code)
  end)

  it("names an option that there is none of, and those that there are", function()
    start(echo)
    raises(keycycle.InvalidConfigurationError, '"temprature" (known: affinity, base_url', model,
      { temprature = 1 })
    for _, opts in ipairs { { stream = true }, { id = "x" }, { messages = {} } } do
      raises(keycycle.InvalidConfigurationError, "response_format", function()
        model():invoke("Hi", opts)
      end)
    end
    raises(keycycle.InvalidConfigurationError, "must be a string", model, { id = 1 })
    raises(keycycle.InvalidConfigurationError, "not a string", model, "large")
    assert.equal(0, #runs)
  end)

  it("refuses what cannot be asked before anything is sent", function()
    start(echo)
    local loop = {}
    loop.loop = loop
    for word, given in pairs {
      ["not a nil"] = { nil }, ["not a number"] = { 5 }, ["messages is empty"] = { {} },
      ["put this one into { }"] = { { role = "user", content = "Hi" } },
      ["messages[1].role is robot"] = { { { role = "robot", content = "Hi" } } },
      ["messages[1].content is missing"] = { { { role = "user" } } },
      ["content must be a text or a list of parts, not a number"] = { { { role = "user",
        content = 5 } } },
      ["content[1].type is sound"] = { { { role = "user", content = { { type = "sound" } } } } },
      ["messages[1].tool_call_id is missing"] = { { { role = "tool", content = "x" } } },
      ["tool_calls[1].id is missing"] = { { { role = "assistant", tool_calls = { {} } } } },
      ["tools[1].name is missing"] = { "Hi", { tools = { {} } } },
      ["tool_choice.name is"] = { "Hi", { tools = { TOOL }, tool_choice = { name = "x" } } },
      ["temperature must be a number"] = { "Hi", { temperature = "hot" } },
      ["max_tokens must be a whole number"] = { "Hi", { max_tokens = 0 } },
      ["response_format.type is xml"] = { "Hi", { response_format = { type = "xml" } } },
      ["content must be a list of parts: put"] = { { { role = "user",
        content = { type = "text", text = "x" } } } },
      ["messages[2] must be a table"] = { { { role = "user", content = "x" }, nil,
        { role = "user", content = "y" } } },
      ["cannot be sent"] = { "Hi", { extra = loop } },
      ["extra must be"] = { "Hi", { extra = 1 } },
      ["UTF-8"] = { "\xff" },
    } do
      local err = raises(keycycle.KeycycleError, word, function()
        return model():invoke(given[1], given[2])
      end)
      assert.same({ "bad_request", "p" }, { err.code, err.provider }, tostring(err))
    end
    assert.equal(0, #runs)
    assert.equal(0, wrapper:get_manager("p"):get_global_stats().total.total_requests)
  end)

  it("says how it is called, and not at all once its wrapper has stopped", function()
    start(echo)
    local one = model()
    raises(keycycle.KeycycleError, "with a colon", one.invoke, "Hi")
    wrapper:stop()
    assert.equal("closed", raises(keycycle.KeycycleError, nil, one.invoke, one, "Hi").code)
    raises(keycycle.KeycycleError, "stopped", wrapper.get_model, wrapper, "p")
  end)
end)

describe("a model's keys", function()
  it("are counted from one, and known", function()
    start(echo)
    local err = raises(keycycle.KeyNotFoundError, "keys count from 1", function()
      model({ key_id = 0 }):invoke "Hi"
    end)
    assert.equal("not_found", err.code)
    raises(keycycle.KeyNotFoundError, "there is no key 3", function()
      model():invoke("Hi", { key_id = 3 })
    end)
    raises(keycycle.InvalidConfigurationError, "pin_key needs key_id", function()
      model({ pin_key = true }):invoke "Hi"
    end)
    assert.equal(0, #runs)
  end)

  it("rotate, from the one that is asked for first", function()
    start(function(_, n) return n % 2 == 1 and refusal(429) or said "Hello" end)
    local response = model({ key_id = 2 }):invoke "Hi"
    assert.same({ 2, 1 }, { runs[1].key, runs[2].key })
    assert.same({ "quota", "ok" }, { keycycle.info(response).attempts[1].kind,
      keycycle.info(response).attempts[2].kind })
  end)

  it("do not rotate where one is pinned, by its end as well", function()
    start(function() return refusal(429) end)
    local one = model { key_id = "ihgfedcba", pin_key = true, max_retries = 3, wait = false }
    raises(keycycle.NoAvailableKeyError, nil, one.invoke, one, "Hi")
    for _, run in ipairs(runs) do assert.equal(2, run.key) end
  end)

  it("are held by no model between its calls", function()
    start(echo, { limits = { concurrent_requests = 1 } })
    local one = model { wait = false, key_id = 1, pin_key = true }
    for _ = 1, 3 do one:invoke "Hi" end
    assert.same({ 3, 0 }, { #runs, in_flight() })
  end)
end)

describe("a model in a task", function()
  it("returns a task at once, and asks what it was told then", function()
    start(echo)
    local messages = { { role = "user", content = "first" } }
    local task = model():ainvoke(messages, { seed = 1 })
    messages[2] = { role = "user", content = "second" }
    assert.equal(0, #runs)
    assert.equal("Hello", task:await().content)
    assert.same({ { { role = "user", content = "first" } }, 1 },
      { runs[1].json.messages, runs[1].json.seed })
  end)

  it("raises in await what is wrong with the call", function()
    start(echo)
    local task = model():ainvoke {}
    raises(keycycle.KeycycleError, "messages is empty", task.await, task)
  end)
end)

describe("a server that answers a stream whole", function()
  it("makes one chunk of it, which becomes the same response", function()
    start(function()
      local body = said "Hello"
      body.choices[1].message.tool_calls = { { id = "c1", ["function"] = { name = "weather",
        arguments = '{"city":"Bonn"}' } } }
      body.choices[1].finish_reason = "tool_calls"
      return body
    end)
    local stream = model():invoke_stream "Hi"
    local seen = {}
    for text, chunk in stream do seen[#seen + 1] = { text, chunk.finish_reason } end
    assert.same({ { "Hello", "tool_calls" } }, seen)
    assert.is_true(runs[1].stream)
    assert.same(model():invoke "Hi", stream:response())
    assert.equal(5, keycycle.info(stream).usage.total_tokens)
    assert.equal(keycycle.info(stream), keycycle.info(stream:response()))
    assert.equal("", stream:text())
    stream:close()
  end)
end)

describe("a provider of one's own", function()
  local function encode(request)
    return { json = { ask = request.messages[1].content, stream = request.stream } }
  end
  local function decode(body) return { content = body.reply } end
  local function route(more)
    local out = { method = "POST", path = "/ask", protocol = "chat" }
    for k, v in pairs(more or {}) do out[k] = v end
    return out
  end
  local function define(chat, routes)
    return { name = "p", base_url = "http://127.0.0.1:1", protocols = { chat = chat },
      auth = { header = "authorization", value = "{api_key}" },
      routes = routes or { ask = route() } }
  end
  local function reply() return { reply = "Hello", used = 4 } end

  it("is a model with encode and decode, and has what these leave out", function()
    local own = define { encode = encode, decode = decode }
    own.usage = { total_tokens = "used" }
    start(reply, nil, own)
    local response = model { id = "x" }:invoke "Hi"
    assert.same({ content = "Hello", tool_calls = {}, model = "x", raw = reply(),
      usage = { total_tokens = 4 } }, response)
    assert.same({ ask = "Hi" }, runs[1].json)
  end)

  it("is none without them, and says what is missing", function()
    for what, chat in pairs { encode = { decode = decode }, decode = { encode = encode } } do
      start(reply, nil, define(chat))
      local err = raises(keycycle.InvalidConfigurationError,
        ('its protocol "chat" has no %s'):format(what), model)
      assert.equal("p", err.provider)
      wrapper:stop()
    end
    start(reply, nil, define({ encode = encode, decode = decode },
      { ask = { method = "POST", path = "/ask" } }))
    raises(keycycle.InvalidConfigurationError, "none of its routes", model)
  end)

  it("has no stream where its protocol reads none", function()
    start(reply, nil, define { encode = encode, decode = decode })
    raises(keycycle.InvalidConfigurationError, 'its protocol "chat" has no event', function()
      model():invoke_stream "Hi"
    end)
    assert.equal(0, #runs)
  end)

  it("goes by the path, query and headers that its encode makes", function()
    start(reply, nil, define({ decode = decode, encode = function(request)
      return { path = "/m/" .. request.model, query = { v = "2" }, headers = { ["x-a"] = "b" },
        json = {} }
    end }, { ask = route { query = { key = "1" }, model = true } }))
    model():invoke "Hi"
    assert.same({ "/m/m", { v = "2", key = "1" }, { ["x-a"] = "b" }, {} },
      { runs[1].path, runs[1].query, runs[1].headers, runs[1].json })
  end)

  it("streams by the way that it has for streams", function()
    local chat = { encode = function() return { json = {} } end, decode = decode,
      event = function() end }
    for path, routes in pairs {
      ["/ask"] = { ask = route() },
      ["/own"] = { ask = route(), more = route { path = "/own", stream = true } },
      ["/flow"] = { ask = route { stream_path = "/flow" },
        more = route { path = "/own", stream = true } },
    } do
      start(reply, nil, define(chat, routes))
      model():invoke_stream "Hi"
      model():invoke "Hi"
      assert.same({ path, true, "/ask" }, { runs[1].path, runs[1].stream, runs[2].path })
      assert.is_nil(runs[1].json.stream)
      wrapper:stop()
    end
  end)

  it("that cannot read an answer costs it, and raises who is to blame", function()
    local faults = { ["broken"] = function() error "broken" end,
      ["gave a number, not a table"] = function() return 5 end,
      ["content = a table, not a string"] = function() return { content = {} } end,
      ["the key is"] = function() error("the key is " .. KEYS[1]) end }
    for word, fault in pairs(faults) do
      start(reply, nil, define { encode = encode, decode = fault })
      local err = raises(keycycle.ScriptError, "the protocol cannot read the answer", function()
        model():invoke "Hi"
      end)
      assert.truthy(tostring(err):find(word, 1, true), tostring(err))
      assert.is_nil(tostring(err):find(KEYS[1], 1, true))
      assert.equal(0, in_flight())
      wrapper:stop()
    end
    start(reply, nil, define { decode = decode, encode = function() error "no way" end })
    assert.equal("bad_request", raises(keycycle.KeycycleError, "no way", function()
      model():invoke "Hi"
    end).code)
  end)
end)
