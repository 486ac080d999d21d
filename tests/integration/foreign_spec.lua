-- Clients of others' making, with HTTP of their own, over keys of the mock.
local keycycle = require "keycycle"
local servers = require "tests.support.servers"
local raises = require "tests.support.raises"

local KEYS = { "sk-mock-1-abcdefgh", "sk-mock-2-ijklmnop", "sk-mock-3-qrstuvwx" }
local LIST = table.concat(KEYS, ",")
local HELLO = { { role = "user", content = "Hello" } }
local transports = { LuaSocket = require "socket.http", ours = keycycle.compat.socket_http }

describe("clients of others", function()
  local server, wrapper
  after_each(function()
    wrapper:stop()
    server.stop()
  end)

  local function start(options, name)
    server = servers.mock("--keys " .. LIST .. " --clock manual " .. options)
    wrapper = keycycle.MultiClientWrapper.new { db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
    local all = { base_url = server.url, keys = KEYS, default_model = "m", limits = {},
      selection = "fill_first" }
    wrapper:register_provider(name or "mymock", all)
  end

  local function client_of(class, http, opts, provider)
    opts = opts or {}
    opts.construct = opts.construct or function(params)
      return { api_key = params.api_key, base_url = server.url, http = http }
    end
    return wrapper:get_rotating_client(provider or "mymock",
      require("tests.fixtures.clients." .. class), opts)
  end

  local function stats(provider)
    return wrapper:get_manager(provider or "mymock"):get_global_stats().total
  end

  local function states(provider)
    local list = {}
    for i, key in ipairs(wrapper:get_manager(provider or "mymock"):keys()) do
      list[i] = key.state
    end
    return list
  end

  for name, http in pairs(transports) do
    describe("over " .. name, function()
      it("rotate on what is returned with a status", function()
        start("--rpm 2 --dead " .. KEYS[1])
        local client = wrapper:get_rotating_client("mymock",
          require "tests.fixtures.clients.positional", { timeout = 1 })
        client.http, client.api_base = http, server.url
        assert.equal(server.url, client.api_base)
        local used, tokens = {}, 0
        for i = 1, 4 do
          local status, response, headers = client:chat(HELLO, { model = "m" })
          assert.same({ 200, "You said: Hello" }, { status, response.choices[1].message.content })
          assert.equal("application/json", headers["content-type"])
          used[i] = keycycle.info(response).key_index
          tokens = tokens + response.usage.total_tokens
        end
        assert.same({ 2, 2, 3, 3 }, used)
        assert.same({ "suspended", "cooling" }, { states()[1], states()[2] })
        assert.equal(tokens, stats().total_tokens)
        local err = raises(keycycle.NoAvailableKeyError, nil, client.chat, HELLO, { model = "m" })
        assert.equal(429, err.status)
        assert.equal(0, stats().in_flight)
      end)

      it("count what a callback is given of a stream, and rotate before its first", function()
        start("--dead " .. KEYS[1])
        local client = wrapper:get_rotating_client("mymock",
          require "tests.fixtures.clients.positional")
        client.http, client.api_base = http, server.url
        local texts, tokens = {}, 0
        local status, text = client:chat(HELLO, { model = "m", stream = true,
          stream_options = { include_usage = true } }, function(chunk)
            texts[#texts + 1] = chunk.choices[1] and chunk.choices[1].delta.content
            tokens = type(chunk.usage) == "table" and chunk.usage.total_tokens or tokens
          end)
        assert.same({ 200, "string" }, { status, type(text) })
        assert.equal("You said: Hello", table.concat(texts))
        assert.same({ tokens, "suspended" }, { stats().total_tokens, states()[1] })
      end)

      it("rotate on what is raised", function()
        start("--style anthropic --rpm 1", "anthropic")
        local client = client_of("named", http, { timeout = 1 }, "anthropic")
        assert.equal("1.2", client.version)
        local request = { model = "claude-sonnet-4-5", max_tokens = 50, messages = HELLO }
        local first, second = client.messages:create(request), client.messages.create(request)
        assert.same({ 1, 2 }, { keycycle.info(first).key_index, keycycle.info(second).key_index })
        local said = first.usage
        assert.equal(said.input_tokens + said.output_tokens,
          keycycle.info(first).usage.total_tokens)
        assert.equal(2 * keycycle.info(first).usage.total_tokens,
          stats("anthropic").total_tokens)
        local err = raises(keycycle.APIError, nil, client.messages.create,
          { model = "claude-sonnet-4-5", messages = HELLO })
        assert.same({ 400, "invalid_request" }, { err.status, err.code })
      end)

      it("rotate on nil and a text", function()
        start("--style cohere --dead " .. KEYS[1], "cohere")
        local client = client_of("callable", http, nil, "cohere")
        client.base_url = server.root
        local response = client:chat { model = "command-a-03-2025", messages = HELLO }
        local info = keycycle.info(response)
        assert.same({ 2, "suspended" }, { info.key_index, states("cohere")[1] })
        assert.equal(response.usage.tokens.input_tokens + response.usage.tokens.output_tokens,
          stats("cohere").total_tokens)
      end)

      it("are counted in Gemini's form", function()
        start("--style gemini", "gemini")
        local client = client_of("callable", http, nil, "gemini")
        local response = client:generate("gemini-2.5-flash",
          { contents = { { role = "user", parts = { { text = "Hello" } } } } })
        assert.equal(response.usageMetadata.totalTokenCount, stats("gemini").total_tokens)
      end)
    end)
  end

  it("have iterators that go to another key before their first event, and are closed", function()
    start("--dead " .. KEYS[1])
    local client = client_of("streaming", nil, { construct = function(params)
      return params.api_key, { base_url = server.url }
    end, key_id = 1 })
    local request = { model = "m", messages = HELLO, stream = true,
      stream_options = { include_usage = true } }
    local texts, tokens = {}, 0
    for chunk in client.stream(request) do
      tokens = type(chunk.usage) == "table" and chunk.usage.total_tokens or tokens
      texts[#texts + 1] = chunk.choices[1] and chunk.choices[1].delta.content
      assert.equal(1, stats().in_flight)
    end
    assert.equal("You said: Hello", table.concat(texts))
    assert.same({ tokens, 0, "suspended", 0 }, { stats().total_tokens, stats().in_flight,
      states()[1], client.open })
    for _ in client.stream(request) do break end -- luacheck: ignore 512
    assert.same({ 0, 0 }, { stats().in_flight, client.open })
    assert.truthy(stats().total_tokens > tokens)
  end)

  it("do not block each other in tasks over our transport", function()
    start("--latency 20")
    local client = wrapper:get_rotating_client("mymock",
      require "tests.fixtures.clients.positional")
    client.http, client.api_base = transports.ours, server.url
    local order = {}
    keycycle.run(function()
      keycycle.gather {
        function()
          order[#order + 1] = "first asks"
          client:chat(HELLO, { model = "m" })
          order[#order + 1] = "first has it"
        end,
        function()
          order[#order + 1] = "second asks"
          client:chat(HELLO, { model = "m" })
        end,
      }
    end)
    assert.same({ "first asks", "second asks" }, { order[1], order[2] })
    assert.equal(0, stats().in_flight)
  end)

  it("end with their task, and so do their leases", function()
    start("--latency 10000")
    local client = wrapper:get_rotating_client("mymock",
      require "tests.fixtures.clients.positional")
    client.http, client.api_base = transports.ours, server.url
    keycycle.run(function()
      local task = keycycle.spawn(client.chat, HELLO)
      while stats().in_flight == 0 do keycycle.sleep(0) end
      task:cancel()
      raises(keycycle.CancelledError, nil, task.await, task)
    end)
    assert.equal(0, stats().in_flight)
  end)
end)
