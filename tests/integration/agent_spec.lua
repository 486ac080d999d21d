--- Agents over real HTTP: the same conversation with tools in every dialect, and with keys
--- that give out in the middle of it.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local conform = require "tests.support.conform"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

setup(conform.start)
teardown(conform.stop)

local NAMES = { "anthropic", "cohere", "gemini", "openai", "perplexity" }

-- What the tools were called with, in `seen`.
local function tools_of(seen)
  local weather = { name = "weather", description = "The weather of a city",
    parameters = asking.TOOL.parameters, run = function(args)
      seen[#seen + 1] = args
      return { degrees = 12, city = args.city }
    end }
  local clock = { name = "clock", run = function()
    keycycle.sleep(0)
    return "noon"
  end }
  return { weather, clock }
end

local function agent_of(s, more)
  local seen = {}
  local given = { model = s.wrapper:get_model(s.name, { id = s.fact.model, max_tokens = 64 }),
    instructions = "Be brief.", tools = tools_of(seen) }
  for k, v in pairs(more or {}) do given[k] = v end
  return keycycle.Agent(given), seen
end

local ways = {
  answers = function(agent, ...) return agent:run(...) end,
  streams = function(agent, ...)
    local stream, texts = agent:run_stream(...), {}
    for text in stream do texts[#texts + 1] = text end
    local result = stream:result()
    assert.equal(result.content, table.concat(texts))
    return result
  end,
}

local function key_indexes(result)
  local list = {}
  for i, step in ipairs(result.steps) do list[i] = step.info.key_index end
  return list
end

-- The tools that each step called.
local function names_of(result)
  local list = {}
  for i, step in ipairs(result.steps) do
    local names = {}
    for j, call in ipairs(step.tools) do names[j] = call.name end
    list[i] = table.concat(names, " ")
  end
  return list
end

-- The sum of usage is what the mock counted, over all keys, and so is what was settled.
local function check_usage(s, result)
  local total = 0
  for _, key in ipairs(s:journal()) do total = total + key.total_tokens end
  assert.same({ total, total, 0 }, { result.usage.total_tokens, s:used()[2], s:used()[3] })
end

for _, name in ipairs(NAMES) do
  describe("an agent of " .. name, function()
    local s
    local function open(...) s = conform.open(name, ...) end
    after_each(function() s:close() end)

    for way, go in pairs(ways) do
      it(way .. " with one call of a tool", function()
        open()
        local agent, seen = agent_of(s)
        local result = go(agent, "mock:tool=weather")
        assert.truthy(result.content:find "^The tool weather said: ")
        assert.truthy(result.content:find("degrees", 1, true))
        assert.same({ asking.ARGUMENTS }, seen)
        assert.same({ "weather", "" }, names_of(result))
        assert.equal("stop", result.finish_reason)
        check_usage(s, result)
      end)

      it(way .. " with several calls at once, and one more after them", function()
        open()
        local result = go((agent_of(s)), "mock:tool=clock mock:tool=weather mock:then=clock")
        assert.same({ "clock weather", "clock", "" }, names_of(result))
        assert.truthy(result.content:find "^The tool clock said: .*noon")
        assert.equal("noon", result.steps[1].tools[1].content)
        check_usage(s, result)
      end)

      it(way .. " when the quota of its key is spent after the first step", function()
        open { faults = { { key = 1, after = 1, kind = "limited", window = "day" } } }
        local result = go((agent_of(s)), "mock:tool=weather mock:then=clock")
        assert.same({ 1, 2, 2 }, key_indexes(result))
        assert.same({ "quota", "ok" }, conform.trail(result.steps[2].info.attempts, "kind"))
        assert.truthy(result.content:find "^The tool clock said: .*noon")
        check_usage(s, result)
      end)

      it(way .. " when its key dies after the first step", function()
        open { faults = { { key = 1, after = 1, kind = "auth" } } }
        local result = go((agent_of(s)), "mock:tool=weather mock:then=clock")
        assert.same({ 1, 2, 2 }, key_indexes(result))
        assert.same({ "suspended", "ready" }, s:states())
        assert.truthy(result.content:find "^The tool clock said: .*noon")
      end)

      it(way .. " and remembers a conversation with tools", function()
        open()
        local agent = agent_of(s)
        go(agent, "mock:tool=weather")
        assert.equal("You said: And now?", go(agent, "And now?").content)
      end)
    end

    it("has a limit of its own key, and goes on with the next", function()
      open(nil, { limits = { requests_per_minute = 1 } })
      local result = agent_of(s):run "mock:tool=weather"
      assert.same({ 1, 2 }, key_indexes(result))
      assert.same({ "ok" }, conform.trail(result.steps[2].info.attempts, "kind"))
    end)

    it("fails when no key is left, and remembers nothing of it", function()
      open { faults = { { after = 1, kind = "auth" } } }
      local agent = agent_of(s)
      local err = raises(keycycle.InvalidKeyError, nil, agent.run, agent, "mock:tool=weather")
      assert.is_false(conform.shows_key { err, tostring(err) })
      assert.same({}, agent.history)
    end)
  end)
end

describe("an agent's conversation", function()
  -- A provider of a dialect whose server answers as a Lua text says.
  local function open(name, answers)
    local server = servers.canned(answers)
    local wrapper = keycycle.MultiClientWrapper.new { scripts = false }
    finally(function()
      wrapper:stop()
      server.stop()
    end)
    wrapper:register_provider(name, { keys = { "sk-mock-aaaaaaaaaaaaaaaa-1" },
      base_url = server.url, default_model = "m" })
    local agent = keycycle.Agent { model = wrapper:get_model(name), tools = tools_of {} }
    return agent, server
  end

  it("may be one of agents: what a tool does can be a run of its own", function()
    local s <close> = conform.open "anthropic"
    local inner = agent_of(s, { history = false })
    local outer = agent_of(s, { tools = { { name = "ask", run = function()
      return inner:run("mock:tool=weather").content
    end }, { name = "again", run = function() return tostring(inner:run "And?") end } } })
    local result = outer:run "mock:tool=ask mock:tool=again"
    assert.truthy(result.steps[1].tools[1].content:find "^The tool weather said: ")
    assert.equal("You said: And?", result.steps[1].tools[2].content)
    assert.same({ 5, 0 }, { s:used()[1], s:used()[3] })
  end)

  it("that is cancelled while a tool makes a call leaves nothing behind", function()
    local s <close> = conform.open "openai"
    local got
    local agent = agent_of(s, { tools = { { name = "ask", run = function()
      got = pcall(s.client.chat.completions.create, s:request "Hello")
    end } } })
    local t = agent:arun "mock:tool=ask"
    while s:used()[1] < 2 do keycycle.step(nil) end
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    while keycycle.step(0) > 0 do end
    assert.is_false(got)
    assert.same({ 2, 0 }, { s:used()[1], s:used()[3] })
    assert.same({}, agent.history)
  end)

  it("carries Gemini's thought signatures back, of each call", function()
    local agent, server = open("gemini", [[
      local json = require "keycycle.json"
      return function(request)
        local function call(signature)
          return { thoughtSignature = signature, functionCall = { name = "clock", args = {} } }
        end
        local parts = request.n == 1 and { call "one", call "two" } or { { text = "Noon." } }
        return 200, {}, json.encode { candidates = { { finishReason = "STOP",
          content = { role = "model", parts = parts } } } }
      end]])
    assert.equal("Noon.", agent:run("What time is it?").content)
    local sent = keycycle.json.decode(server.journal()[2].body).contents[2].parts
    assert.same({ "one", "two" }, { sent[1].thoughtSignature, sent[2].thoughtSignature })
  end)

  it("carries Anthropic's thinking back, with its signature", function()
    local agent, server = open("anthropic", [[
      local json = require "keycycle.json"
      return function(request)
        local content = { { type = "text", text = "Noon." } }
        if request.n == 1 then
          content = { { type = "thinking", thinking = "Hm.", signature = "signed" },
            { type = "tool_use", id = "toolu_1", name = "clock", input = {} } }
        end
        return 200, {}, json.encode { content = content, stop_reason = request.n == 1
          and "tool_use" or "end_turn", usage = { input_tokens = 1, output_tokens = 1 } }
      end]])
    assert.equal("Noon.", agent:run("What time is it?").content)
    local sent = keycycle.json.decode(server.journal()[2].body).messages[2].content
    assert.same({ "thinking", "signed", "toolu_1" },
      { sent[1].type, sent[1].signature, sent[2].id })
  end)
end)

describe("an agent whose model changes its provider in the middle", function()
  local running, wrapper = {}, nil

  setup(function()
    wrapper = keycycle.MultiClientWrapper.new { scripts = false }
    for _, name in ipairs { "anthropic", "cohere", "gemini", "openai" } do
      running[name] = servers.mock("--style " .. name)
      wrapper:register_provider(name, { keys = { "sk-mock-1" }, base_url = running[name].url,
        default_model = "m", limits = {} })
    end
  end)

  teardown(function()
    wrapper:stop()
    for _, server in pairs(running) do server.stop() end
  end)

  -- Asks the first of two models once, then the other one.
  local function switching(first, second)
    local asked = {}
    local function which(method)
      return function(_, ...)
        asked[#asked + 1] = #asked == 0 and first or second
        local model = wrapper:get_model(asked[#asked])
        return model[method](model, ...)
      end
    end
    return { asked = asked, invoke = which "invoke", invoke_stream = which "invoke_stream" }
  end

  it("goes on along a fallback chain when the keys of the first have no room", function()
    for way, go in pairs(ways) do
      local limited <close> = keycycle.MultiClientWrapper.new { scripts = false }
      for name, limits in pairs { gemini = { requests_per_minute = 2 }, anthropic = {} } do
        limited:register_provider(name, { keys = { "sk-mock-1" }, limits = limits,
          base_url = running[name].url })
      end
      local agent = keycycle.Agent { model = limited:fallback { "gemini/m", "anthropic/m" },
        tools = tools_of {} }
      local result = go(agent, "mock:tool=weather mock:tool=clock mock:then=weather")
      assert.same({ "gemini", "gemini", "anthropic" }, { result.steps[1].info.provider,
        result.steps[2].info.provider, result.steps[3].info.provider }, way)
      assert.truthy(result.content:find "^The tool weather said: ")
    end
  end)

  for _, first in ipairs { "anthropic", "cohere", "gemini", "openai" } do
    for _, second in ipairs { "anthropic", "cohere", "gemini", "openai" } do
      it(("goes on from %s with %s"):format(first, second), function()
        for way, go in pairs(ways) do
          local seen = {}
          local model = switching(first, second)
          local agent = keycycle.Agent { model = model, tools = tools_of(seen) }
          local result = go(agent, "mock:tool=weather mock:tool=clock mock:then=weather")
          assert.same({ first, second, second }, model.asked, way)
          assert.same({ "weather clock", "weather", "" }, names_of(result))
          assert.truthy(result.content:find "^The tool weather said: ")
          assert.same({ asking.ARGUMENTS, asking.ARGUMENTS }, seen)
        end
      end)
    end
  end
end)

describe("print_response", function()
  -- What a host prints that runs an agent of one call of a tool; `on` is its terminal.
  local function printed(on, env)
    local server = servers.mock ""
    finally(server.stop)
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(([[
      local keycycle = require "keycycle"
      local wrapper <close> = keycycle.MultiClientWrapper.new { scripts = false }
      wrapper:register_provider("openai", { keys = { "sk-mock-1" }, base_url = %q,
        default_model = "m" })
      keycycle.Agent { model = wrapper:get_model "openai", tools = { { name = "sum",
        run = function() return "42\27[1m" end } } }:print_response "mock:tool=sum"
    ]]):format(server.url))
    file:close()
    local command = ("%s/keycycle %s"):format(servers.build, script)
    if on then command = ("script -qec '%s' /dev/null"):format(command) end
    local pipe <close> = assert(io.popen("env TERM=xterm " .. env .. " " .. command .. " 2>&1"))
    local text = pipe:read("a"):gsub("\r", "")
    os.remove(script)
    return text
  end

  it("shows the calls of tools dimly on a terminal, and gives it no orders", function()
    local text = printed(true, "NO_COLOR=")
    assert.truthy(text:find "^\27%[2msum {}\27%[0m\n\27%[2m  42%[1m %(%d%.%d s%)\27%[0m\n", text)
    assert.truthy(text:find "\nThe tool sum said: 42%[1m\n$")
  end)

  it("shows them without colour where that is asked for", function()
    assert.truthy(printed(true, "NO_COLOR=1"):find "^sum {}\n  42%[1m %(%d%.%d s%)\nThe tool ")
  end)

  it("prints the text alone elsewhere", function()
    assert.equal("The tool sum said: 42\27[1m\n", printed(false, ""))
  end)
end)
