--- Fallback chains over real servers that speak as groq, gemini and anthropic do: who
--- answers, what each of them has seen of it, and what the trail tells.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local collect = require "keycycle.protocol.collect"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2" }
local LIST = { "groq/llama-3.3-70b-versatile", "gemini/gemini-2.5-flash",
  "anthropic/claude-sonnet-4-5" }

local mocks, wrapper, clock

-- Mocks of the three, by name with further options of `keycycle mock`; "down" for none.
local function start(options, configs)
  clock = keycycle.clock.manual(1e9)
  wrapper, mocks = keycycle.MultiClientWrapper.new { clock = clock }, {}
  for _, name in ipairs { "groq", "gemini", "anthropic" } do
    local given = options[name] or ""
    local url = "http://127.0.0.1:1/v1"
    if given ~= "down" then
      mocks[name] = servers.mock(("--style %s --clock manual --keys %s %s"):format(name,
        table.concat(KEYS, ","), given))
      url = mocks[name].url
    end
    local config = { keys = KEYS, base_url = url, selection = "fill_first", limits = {} }
    for k, v in pairs((configs or {})[name] or {}) do config[k] = v end
    wrapper:register_provider(name, config)
  end
end

local function fallback(opts)
  local given = { max_tokens = 64 }
  for i, name in ipairs(LIST) do given[i] = name end
  for k, v in pairs(opts or {}) do given[k] = v end
  return wrapper:fallback(given)
end

-- Requests that the mocks have seen, by name; nothing for one that is down.
local function seen()
  local out = {}
  for name, mock in pairs(mocks) do
    local answer = keycycle.http.request { url = mock.root .. "/journal" }
    out[name] = 0
    for _, key in ipairs(keycycle.json.decode(answer.body).keys) do
      out[name] = out[name] + key.requests
    end
  end
  return out
end

-- Calls that are still under way, over all providers.
local function in_flight()
  local n = 0
  for _, name in ipairs { "groq", "gemini", "anthropic" } do
    n = n + wrapper:get_manager(name):get_global_stats().total.in_flight
  end
  return n
end

local function trail(attempts)
  local out = {}
  for i, one in ipairs(attempts) do
    out[i] = ("%s %s %s"):format(one.provider, one.key_index or "-", one.kind)
  end
  return out
end

-- Runs `fn` in a task, our clock and the mocks' moved on until it has ended.
local function meanwhile(fn)
  local t = keycycle.spawn(fn)
  while not t.done do
    keycycle.step(0.005)
    clock:advance(0.25)
    for _, mock in pairs(mocks) do
      if t.done then break end
      keycycle.http.request { method = "POST", url = mock.root .. "/advance?seconds=0.25" }
    end
  end
  return t:await()
end

before_each(function() keycycle.log.set_sink(function() end) end)
after_each(function()
  keycycle.log.set_sink(nil)
  wrapper:stop()
  for _, mock in pairs(mocks) do mock.stop() end
end)

describe("a chain of groq, gemini and anthropic", function()
  it("is answered by the first, and asks no other", function()
    start {}
    local response = fallback():invoke "Hi"
    local info = keycycle.info(response)
    assert.same({ "You said: Hi", "llama-3.3-70b-versatile", "groq" },
      { response.content, response.model, info.provider })
    assert.same({ groq = 1, gemini = 0, anthropic = 0 }, seen())
    assert.same({ "groq 1 ok" }, trail(info.attempts))
  end)

  it("goes on where one is down, and the next has a broken server", function()
    start { groq = "down", gemini = "--fail-every 1" }
    for _, way in ipairs { "invoke", "invoke_stream" } do
      local chain = fallback()
      local response = chain[way](chain, "Hi")
      if way == "invoke_stream" then
        assert.equal("You said: Hi", response:text())
        response = response:response()
      end
      local info = keycycle.info(response)
      assert.same({ "You said: Hi", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", 0 },
        { response.content, response.model, info.provider, info.model, info.waited })
      assert.same({ "groq 1 server", "gemini 1 server", "anthropic 1 ok" }, trail(info.attempts))
    end
    assert.same({ gemini = 2, anthropic = 2 }, seen())
    assert.equal(0, in_flight())
  end)

  it("goes over all keys of one whose quotas are spent, and passes it over from then on",
    function()
      start { groq = "--spent " .. table.concat(KEYS, ",") }
      local info = keycycle.info(fallback():invoke "Hi")
      assert.same({ "groq 1 quota", "groq 2 quota", "gemini 1 ok" }, trail(info.attempts))
      assert.equal(429, info.attempts[1].status)
      info = keycycle.info(fallback():invoke "Hi")
      assert.same({ "groq - limited", "gemini 1 ok" }, trail(info.attempts))
      assert.same({ groq = 2, gemini = 2, anthropic = 0 }, seen())
    end)

  it("goes on where all keys are refused, and takes them out", function()
    start { groq = "--dead " .. table.concat(KEYS, ",") }
    local info = keycycle.info(fallback():invoke "Hi")
    assert.same({ "groq 1 auth", "groq 2 auth", "gemini 1 ok" }, trail(info.attempts))
    assert.equal("suspended", wrapper:get_manager("groq"):keys()[2].state)
    info = keycycle.info(fallback():invoke "Hi")
    assert.same({ "groq - no_key", "gemini 1 ok" }, trail(info.attempts))
  end)

  it("goes on where the request is too long for one, and has its error where it is for all",
    function()
      start {}
      local long = { headers = { ["x-mock-fault"] = "context" } }
      local short = wrapper:get_model("groq", { id = "small", headers = long.headers })
      local info = keycycle.info(wrapper:fallback({ short, LIST[2] }):invoke "Hi")
      assert.same({ "groq 1 context_length", "gemini 1 ok" }, trail(info.attempts))
      local chain = fallback()
      local err = raises(keycycle.APIError, nil, chain.invoke, chain, "Hi", long)
      assert.same({ "context_length", "groq", "llama-3.3-70b-versatile" },
        { err.code, err.provider, err.model })
      assert.same({ "groq 1 context_length", "gemini 1 context_length",
        "anthropic 1 context_length" }, trail(err.attempts))
    end)

  it("waits for the one whose quota is there again first", function()
    start({ groq = "--rpm 1", gemini = "--rpm 1", anthropic = "down" },
      { groq = { keys = { KEYS[1] } }, gemini = { keys = { KEYS[1] } } })
    local chain = fallback { timeout = 70 }
    for _ = 1, 2 do chain:invoke "Hi" end
    local info = meanwhile(function() return keycycle.info(chain:invoke "Hi") end)
    local last = info.attempts[#info.attempts]
    assert.equal("ok", last.kind)
    assert.are_not.equal("anthropic", last.provider)
    assert.is_true(info.waited > 0 and info.waited <= 70)
    assert.equal(0, in_flight())
  end)

  it("keeps to its budget, and each is asked once before any is asked again", function()
    start { groq = "--fail-every 1", gemini = "--fail-every 1", anthropic = "--fail-every 1" }
    local chain = fallback { max_retries = 4 }
    local err = raises(keycycle.APIError, nil, meanwhile, function() return chain:invoke "Hi" end)
    assert.same({ "groq 1 server", "gemini 1 server", "anthropic 1 server" },
      { table.unpack(trail(err.attempts), 1, 3) })
    local total = 0
    for _, n in pairs(seen()) do total = total + n end
    assert.same({ 5, 5, "server", 0 }, { #err.attempts, total, err.code, in_flight() })
    raises(keycycle.APIError, nil, chain.invoke, chain, "Hi", { max_retries = 0 })
    total = 0
    for _, n in pairs(seen()) do total = total + n end
    assert.equal(6, total)
  end)

  it("keeps to its deadline where a server does not answer", function()
    start { groq = "--latency 60000", gemini = "--latency 60000" }
    local chain = fallback { deadline = 0.05 }
    for _, way in ipairs { "invoke", "invoke_stream" } do
      local err = raises(keycycle.TimeoutError, nil, chain[way], chain, "Hi")
      assert.same({ "groq", "groq 1 transport" }, { err.provider, trail(err.attempts)[1] })
      assert.equal(1, #err.attempts)
    end
    -- What one alone may take is another matter: then the next is asked.
    local info = keycycle.info(fallback():invoke("Hi", { request_timeout = 0.05 }))
    assert.same({ "groq 1 transport", "gemini 1 transport", "anthropic 1 ok" },
      trail(info.attempts))
    assert.equal(0, in_flight())
  end)

  it("takes over a stream before its first content only", function()
    start {}
    local cut = wrapper:get_model("groq", { id = "m",
      headers = { ["x-mock-fault"] = "midstream" } })
    local chain = wrapper:fallback { cut, LIST[2] }
    local stream, parts = chain:invoke_stream "Hi there, how are you?", {}
    local err = raises(keycycle.APIError, nil, function()
      for text in stream do parts[#parts + 1] = text end
    end)
    assert.equal("You said", table.concat(parts):sub(1, 8))
    assert.same({ "groq", { "groq 1 server" } }, { err.provider, trail(err.attempts) })
    assert.same({ groq = 1, gemini = 0, anthropic = 0 }, seen())
    assert.equal(0, in_flight())
  end)

  it("takes a tool conversation from one to another", function()
    start { groq = "--rpm 1" }
    local chain = fallback { tools = { asking.TOOL } }
    local messages = { { role = "user", content = "mock:tool=weather" } }
    local made, whose = {}, {}
    for i = 1, 2 do
      local response = chain:invoke(messages)
      made[i], whose[i] = response, keycycle.info(response).provider
      messages[#messages + 1] = collect.message(response)
      local call = response.tool_calls[1]
      if call then
        messages[#messages + 1] = { role = "tool", tool_call_id = call.id, name = call.name,
          content = "12 degrees" }
        wrapper:get_manager("groq"):disable(1)
        wrapper:get_manager("groq"):disable(2)
      end
    end
    assert.same({ "groq", "gemini" }, whose)
    assert.same(asking.ARGUMENTS, made[1].tool_calls[1].arguments)
    assert.truthy(made[2].content:find("^The tool weather said: .*12 degrees"))
  end)

  it("is cancelled with its task, and every key is free again", function()
    start { groq = "down", gemini = "--latency 60000" }
    local t = fallback():ainvoke "Hi"
    while wrapper:get_manager("gemini"):get_global_stats().total.in_flight == 0 do
      keycycle.step(0.001)
    end
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    assert.equal(0, in_flight())
  end)

  it("is used by many tasks at once", function()
    start({ groq = "--rpm 5", gemini = "--rpm 5" }, { groq = { limits = {
      requests_per_minute = 5 } }, gemini = { limits = { requests_per_minute = 5 } } })
    local chain, jobs = fallback(), {}
    for i = 1, 30 do jobs[i] = chain:ainvoke("number " .. i) end
    for i, response in ipairs(keycycle.gather(jobs)) do
      assert.equal("You said: number " .. i, response.content)
    end
    assert.same({ groq = 10, gemini = 10, anthropic = 10 }, seen())
  end)
end)
