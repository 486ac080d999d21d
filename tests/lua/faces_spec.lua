local keycycle = require "keycycle"
local faces = require "keycycle.faces"
local raises = require "tests.support.raises"

local KEYS = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba" }
local messages = { { role = "user", content = "Hi" } }

describe("the faces", function()
  it("have an async twin each", function()
    local n = 0
    for name, face in pairs(faces.all) do
      assert.equal(face, keycycle[name])
      assert.is_true(faces.is_face(face))
      if not face.async then
        n = n + 1
        assert.same({ face = face.face, async = true }, keycycle["Async" .. name])
      end
    end
    assert.is_true(n >= 19)
    for name in ("OpenAI Anthropic Gemini Cohere TwelveLabs"):gmatch "%S+" do
      assert.truthy(keycycle[name] and keycycle["Async" .. name], name)
    end
  end)

  it("are refused, plain and async, where the provider does not speak so", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("openai", { keys = KEYS })
    raises(keycycle.InvalidConfigurationError, "client.messages.create",
      wrapper.get_rotating_client, wrapper, "openai", keycycle.Anthropic)
    raises(keycycle.InvalidConfigurationError, "does not speak as Anthropic",
      wrapper.get_rotating_client, wrapper, "openai", keycycle.AsyncAnthropic)
  end)
end)

describe("an async client", function()
  local wrapper, client, lines
  before_each(function()
    wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
    wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = KEYS,
      default_model = "m" })
    client = wrapper:get_rotating_client("p", keycycle.AsyncOpenAI, { max_retries = 0 })
    lines = {}
    keycycle.log.set_sink(function(level, line) lines[#lines + 1] = level .. " " .. line end)
  end)
  after_each(function()
    keycycle.log.set_sink(nil)
    wrapper:stop()
  end)

  local function total()
    return wrapper:get_manager("p"):get_global_stats().total
  end

  it("says what it is", function()
    assert.equal("keycycle async client of p", tostring(client))
  end)

  it("gives a task for each call, with a colon and with a dot", function()
    local chat = client.chat.completions
    for _, fn in ipairs {
      function() return chat:create { messages = messages } end,
      function() return chat.create { messages = messages } end,
      function() return client.models:list() end,
      function() return client.models.list() end,
      function() return client:request { path = "/models" } end,
      function() return client.request { path = "/models" } end,
    } do
      local task = fn()
      assert.equal("ready", task:status())
      assert.equal("connect", raises(keycycle.TransportError, nil, task.await, task).code)
      assert.equal("failed", task:status())
    end
    assert.same({ 0, 0 }, { total().total_requests, total().in_flight })
  end)

  it("gives one for a request that is none, too: await says what is wrong", function()
    local function bad(task)
      return raises(keycycle.KeycycleError, nil, task.await, task).code
    end
    assert.equal("bad_request", bad(client.chat.completions:create "Hi"))
    assert.equal("bad_request", bad(client.chat.completions:create()))
    assert.equal("bad_request", bad(client.chat.completions:create { callback = print }))
    assert.equal("bad_request", bad(client:request { path = "models" }))
    assert.equal("invalid", bad(client.chat.completions:create({ messages = messages },
      { time_out = 2 })))
    assert.equal("not_found", bad(client.chat.completions:create({ messages = messages },
      { key_id = 7 })))
    assert.equal(0, total().total_requests)
  end)

  it("knows its paths at once, as the plain one", function()
    raises(keycycle.InvalidConfigurationError, "chat.completions.create",
      function() return client.completions end)
    raises(keycycle.InvalidConfigurationError, "cannot be called",
      function() client.chat.completions {} end)
  end)

  it("sends what the request was when the call was made", function()
    local request = { model = "first", messages = messages }
    local task = client.chat.completions:create(request)
    request.model, request.messages = nil, print
    assert.equal("first", raises(keycycle.TransportError, nil, task.await, task).model)
  end)

  it("says so after the wrapper was stopped", function()
    wrapper:stop()
    local task = client.chat.completions:create { messages = messages }
    assert.equal("closed", raises(keycycle.KeycycleError, nil, task.await, task).code)
  end)

  it("is reported where it fails and nobody awaits it", function()
    client.chat.completions:create "Hi"
    while keycycle.step(0) > 0 do end
    collectgarbage()
    collectgarbage()
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("nobody awaited it", 1, true))
    assert.truthy(lines[1]:find("needs a table", 1, true))
  end)

  it("sends nothing and holds nothing when it is cancelled before its turn", function()
    local task = client.chat.completions:create { messages = messages }
    task:cancel()
    raises(keycycle.CancelledError, nil, task.await, task)
    assert.same({ 0, 0 }, { total().total_requests, total().in_flight })
  end)

  it("waits for a key without holding up others", function()
    local clock = keycycle.clock.manual(1000)
    local timed <close> = keycycle.MultiClientWrapper.new {
      db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE", clock = clock }
    timed:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = { KEYS[1] },
      default_model = "m", limits = { requests_per_minute = 1 } })
    timed:get_manager("p"):get_key("m"):commit(1)
    local waits = timed:get_rotating_client("p", keycycle.AsyncOpenAI, { max_retries = 0,
      timeout = 100 })
    local task = waits.chat.completions:create { messages = messages }
    keycycle.step(0)
    keycycle.step(0)
    assert.equal("waiting", task:status())
    clock:advance(62)
    assert.equal("connect", raises(keycycle.TransportError, nil, task.await, task).code)
  end)
end)
