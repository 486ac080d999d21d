--- Async faces over a real connection: each call is a task, whatever becomes of it.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2" }

local mock, wrapper, client, manager

local function say(text, stream)
  return { stream = stream, messages = { { role = "user", content = text } } }
end

local function start(options, config)
  mock = servers.mock("--keys " .. table.concat(KEYS, ",") .. " " .. options)
  wrapper = keycycle.MultiClientWrapper.new {}
  local all = { base_url = mock.url, keys = KEYS, default_model = "gpt-4o-mini" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider("p", all)
  client = wrapper:get_rotating_client("p", keycycle.AsyncOpenAI)
  manager = wrapper:get_manager "p"
end

local function in_flight()
  return manager:get_global_stats().total.in_flight
end

-- Ours are the mock's counts, and nothing is under way any more.
local function agrees()
  local answer = keycycle.http.request { url = mock.root .. "/journal" }
  local requests, tokens = 0, 0
  for _, key in ipairs(keycycle.json.decode(answer.body).keys) do
    requests, tokens = requests + key.requests, tokens + key.total_tokens
  end
  local total = manager:get_global_stats().total
  assert.same({ requests, tokens, 0, 0 },
    { total.total_requests, total.total_tokens, total.in_flight, core.pending() })
  return requests
end

describe("an async client", function()
  after_each(function()
    wrapper:stop()
    mock.stop()
  end)

  it("answers outside of tasks, and inside of one, as the plain one", function()
    start ""
    local function ask()
      local response = client.chat.completions:create(say "Hello"):await()
      assert.equal("You said: Hello", response.choices[1].message.content)
      assert.equal("p", keycycle.info(response).provider)
    end
    ask()
    keycycle.run(ask)
    local models = client.models.list():await()
    assert.equal("list", models.object)
    local answer = client:request { method = "POST", path = "/chat/completions",
      json = { model = "m", messages = say "Hi".messages } }:await()
    assert.equal("You said: Hi", answer.choices[1].message.content)
    agrees()
  end)

  it("has its calls under way at the same time", function()
    start "--latency 20"
    local tasks, most = {}, 0
    for i = 1, 8 do tasks[i] = client.chat.completions:create(say("number " .. i)) end
    while keycycle.step(0) > 0 do most = math.max(most, in_flight()) end
    assert.equal(8, most)
    for i, task in ipairs(tasks) do
      assert.equal("done", task:status())
      assert.equal("You said: number " .. i, task:await().choices[1].message.content)
    end
    local texts = {}
    for i, response in ipairs(keycycle.gather {
      client.chat.completions:create(say "a"), client.chat.completions:create(say "b"),
    }) do
      texts[i] = response.choices[1].message.content
    end
    assert.same({ "You said: a", "You said: b" }, texts)
    assert.equal(10, agrees())
  end)

  it("rotates over the keys", function()
    start("--rpm 2", { selection = "fill_first" })
    local used = {}
    for i = 1, 4 do
      used[i] = keycycle.info(client.chat.completions:create(say "x"):await()).key_index
    end
    assert.same({ 1, 1, 2, 2 }, used)
  end)

  it("raises from await what the provider said", function()
    start ""
    local task = client.chat.completions:create(say "mock:fault=policy")
    local err = raises(keycycle.APIError, nil, task.await, task)
    assert.equal("content_policy", err.code)
    assert.equal(err, select(2, pcall(task.await, task))) -- the very same, each time
    agrees()
  end)

  it("gives a stream with all that a generic for wants", function()
    start ""
    local results = table.pack(client.chat.completions:create(say("one two", true)):await())
    assert.equal(4, results.n)
    assert.equal(results[1], results[4])
    assert.equal("You said: one two", results[1]:text())
    local texts = {}
    for chunk in client.chat.completions:create(say("three four", true)):await() do
      texts[#texts + 1] = chunk.choices[1] and chunk.choices[1].delta.content
    end
    assert.equal("You said: three four", table.concat(texts))
    assert.equal(0, in_flight())
  end)

  it("closes a stream that is left early", function()
    start "--chunk-delay 5"
    keycycle.run(function()
      local stream = client.chat.completions:create(say("one two three four five", true)):await()
      for chunk in stream do
        if chunk then break end
      end
      assert.truthy(tostring(stream):find "open") -- it was not for's to close
      stream:close()
      for chunk in client.chat.completions:create(say("one two three", true)):await() do
        if chunk then break end
      end
      assert.equal(0, in_flight())
    end)
    assert.equal(0, core.pending())
  end)

  it("leaks nothing where a task with an unread stream is dropped", function()
    start "--chunk-delay 5"
    client.chat.completions:create(say("one two three four five six", true))
    while keycycle.step(0) > 0 do end
    collectgarbage()
    collectgarbage()
    assert.same({ 0, 0 }, { in_flight(), core.pending() })
    assert.is_true(manager:get_global_stats().total.total_tokens > 0)
  end)

  it("stops the transfer of a call that is cancelled", function()
    start "--latency 60000"
    local task = client.chat.completions:create(say "never")
    while in_flight() == 0 do keycycle.step(0) end
    task:cancel "enough"
    raises(keycycle.CancelledError, "enough", task.await, task)
    assert.same({ 0, 0 }, { in_flight(), core.pending() })
  end)

  it("is among what a run waits for", function()
    start ""
    local task
    keycycle.run(function() task = client.chat.completions:create(say "later") end)
    assert.equal("done", task:status())
    agrees()
  end)
end)

describe("the async faces of", function()
  local asks = {
    anthropic = { "AsyncAnthropic", function(c)
      return c.messages:create { max_tokens = 50, messages = say "Hi".messages }
    end, function(r) return r.content[1].text end },
    gemini = { "AsyncGemini", function(c)
      return c.models:generate_content { contents = { { role = "user",
        parts = { { text = "Hi" } } } } }
    end, function(r) return r.candidates[1].content.parts[1].text end },
    cohere = { "AsyncCohere", function(c)
      return c:chat { messages = say "Hi".messages }
    end, function(r) return r.message.content[1].text end },
  }
  for name, ask in pairs(asks) do
    it(name .. " have their maker's paths", function()
      local server = servers.mock("--style " .. name)
      local one <close> = keycycle.MultiClientWrapper.new {}
      one:register_provider(name, { base_url = server.url, default_model = "m", limits = {},
        keys = { "sk-mock-1" } })
      local task = ask[2](one:get_rotating_client(name, keycycle[ask[1]]))
      assert.equal("ready", task:status())
      assert.equal("You said: Hi", ask[3](task:await()))
      server.stop()
    end)
  end
end)
