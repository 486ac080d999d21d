local keycycle = require "keycycle"
local log = require "keycycle.log"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"
local wire = require "keycycle.call.wire"

describe("a provider's protocol", function()
  it("is a built-in one by name", function()
    local adapter = { protocols = { chat = "openai_chat" } }
    assert.equal(require "keycycle.protocol.openai_chat", wire.protocol(adapter, "chat"))
    assert.is_nil(wire.protocol(adapter, "embeddings"))
    assert.is_nil(wire.protocol({}, "chat"))
  end)

  it("may be its own, whose usage is that of what it decodes", function()
    local adapter = { protocols = { chat = {
      decode = function(body) return { usage = { input_tokens = body.in_tokens } } end,
    } } }
    local protocol = wire.protocol(adapter, "chat")
    assert.same({ input_tokens = 3 }, protocol.usage { in_tokens = 3 })
    assert.equal(protocol, wire.protocol(adapter, "chat"))
    assert.equal(3, wire.estimate(adapter, protocol, { a = "123" })) -- {"a":"123"}
  end)
end)

describe("a user's protocol", function()
  local function with(functions)
    local adapter = { protocols = { chat = functions } }
    return wire.protocol(adapter, "chat"), adapter
  end

  it("whose estimates are none is estimated by the request's size", function()
    log.set_sink(function() end)
    for _, bad in ipairs { "many", -1, 0 / 0, 1 / 0, 1e300, {}, true } do
      local function fn() return bad end
      local protocol, adapter = with { estimate = fn, estimate_input = fn }
      assert.equal(3, wire.estimate(adapter, protocol, { a = "123" }))
      assert.equal(3, protocol.estimate_input { a = "123" })
      assert.equal(3, wire.estimate({ estimate = fn }, with {}, { a = "123" }))
    end
    local protocol, adapter = with { estimate = function() error "x" end }
    assert.equal(3, wire.estimate(adapter, protocol, { a = "123" }))
    protocol = with { estimate = function() return 7 end }
    assert.equal(7, protocol.estimate_input {})
    log.set_sink(nil)
  end)
end)

describe("a neutral request", function()
  local function body(name, request)
    return wire.encode(provider.get(name), "chat", request).json
  end
  local hello = { model = "m", max_tokens = 5, seed = 7, stream = true,
    messages = { { role = "user", content = "Hi" } } }

  it("is written in the dialect of its provider", function()
    assert.equal(5, body("openai", hello).max_completion_tokens)
    assert.equal(5, body("groq", hello).max_completion_tokens)
    assert.equal(5, body("together", hello).max_tokens)
    local mistral = body("mistral", hello)
    assert.equal(7, mistral.random_seed)
    assert.is_nil(mistral.stream_options)
    assert.equal(5, body("gemini", hello).generationConfig.maxOutputTokens)
    assert.equal(5, body("anthropic", hello).max_tokens)
  end)

  it("is refused with the field that is wrong", function()
    local err = raises(keycycle.KeycycleError, "messages", body, "openai", { model = "m" })
    assert.equal("bad_request", err.code)
  end)
end)

describe("a request that a user's protocol made", function()
  local function encode(made)
    return wire.encode({ name = "own", auth = { header = "x-key", value = "{api_key}" },
      protocols = { chat = { encode = function() return made end } } }, "chat", {})
  end

  it("says no more than a route may", function()
    local made = { path = "/a/b", query = { x = 1 }, headers = { ["x-a"] = "b" }, json = {} }
    assert.equal(made, encode(made))
    for word, bad in pairs { ["no request"] = "text", ["path"] = { path = "//evil.test" },
      ["no text"] = { path = 5 },
      ['no field "jsn"'] = { jsn = {} }, ["query"] = { query = 5 }, ["headers.Host"] =
      { headers = { Host = "evil.test" } }, ["headers.X-Key"] = { headers = { ["X-Key"] = "x" } },
      ["line break"] = { headers = { ["x-a"] = "b\r\nhost: evil.test" } } } do
      local err = raises(keycycle.KeycycleError, word, encode, bad)
      assert.equal("bad_request", err.code)
    end
  end)
end)

describe("what a provider says of its own usage", function()
  it("may be the places of the figures", function()
    local read = wire.usage_reader { usage = { input_tokens = "meta.units.in",
      output_tokens = "list.2.out" } }
    assert.same({ input_tokens = 4, output_tokens = 5 },
      read { meta = { units = { ["in"] = 4 } }, list = { {}, { out = 5 } } })
    assert.is_nil(read { meta = "none" })
  end)

  it("may be a function, and is nothing where it says nothing", function()
    local function fn() end
    assert.equal(fn, wire.usage_reader { usage = fn })
    assert.is_nil(wire.usage_reader {})
  end)

  it("estimates by paths or by a function, whose faults do not matter", function()
    assert.equal(12, wire.estimate({ estimate = { "prompt", "max" } }, nil,
      { prompt = "12345678", max = 10 }))
    local function estimate(fn) return wire.estimate({ estimate = fn }, nil, {}) end
    local lines = {}
    keycycle.log.set_sink(function(_, line) lines[#lines + 1] = line end)
    assert.equal(9, estimate(function() return 9 end))
    assert.equal(0, estimate(function() end))
    assert.same({}, lines)
    for i, bad in ipairs { function() error "x" end, function() return -1 end,
      function() return 1e300 end, function() return "5" end } do
      assert.equal(0, estimate(bad))
      assert.equal(0, estimate(bad))
      assert.equal(i, #lines)
    end
    keycycle.log.set_sink(nil)
  end)
end)

describe("a face", function()
  it("is refused by a provider that has none of its paths", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("groq", { keys = { "gsk-0123456789abcdef" } })
    assert.is_table(wrapper:get_rotating_client("groq", keycycle.Groq))
    assert.is_table(wrapper:get_rotating_client("groq", keycycle.OpenAI))
    local ok, err = pcall(wrapper.get_rotating_client, wrapper, "groq", keycycle.Anthropic)
    assert.is_false(ok)
    assert.truthy(err.message:find("client.messages.create", 1, true), err.message)
  end)
end)
