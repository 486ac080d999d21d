local keycycle = require "keycycle"
local log = require "keycycle.log"
local raises = require "tests.support.raises"
local scripted = require "tests.support.scripted_model"

local CITY = { type = "object", required = { "city" }, properties = { city = { type = "string" } } }
local WEATHER = { name = "weather", description = "Of a city", parameters = CITY,
  run = function(args) return args.city .. ": 12 degrees" end }

-- An agent over a script, with further fields; the model.
local function agent_of(answers, more)
  local model = scripted.new(answers)
  local given = { model = model }
  for k, v in pairs(more or {}) do given[k] = v end
  return keycycle.Agent(given), model
end

local function contents(messages)
  local list = {}
  for i, message in ipairs(messages) do list[i] = message.content end
  return list
end

local function user(text) return { role = "user", content = text } end

-- What a run gives, either way: the whole and the text that was streamed.
local ways = {
  run = function(agent, ...)
    local result = agent:run(...)
    return result, result.content
  end,
  run_stream = function(agent, ...)
    local stream = agent:run_stream(...)
    local text = stream:text()
    return stream:result(), text
  end,
}

describe("an agent", function()
  it("is refused when a field is wrong, with the place", function()
    local model = scripted.new {}
    local function refused(word, given)
      raises(keycycle.InvalidConfigurationError, word, keycycle.Agent, given)
    end
    refused("Agent needs a table", nil)
    refused("an agent's model is a model", {})
    refused("an agent's model is a model", { model = "gpt-4o-mini" })
    refused('an agent has no field "tool"', { model = model, tool = {} })
    refused("instructions are a text", { model = model, instructions = 3 })
    refused("instructions[2] must be a text", { model = model, instructions = { "a", 3 } })
    refused("tools[1].name is missing", { model = model, tools = { {} } })
    refused("history must be a list of messages", { model = model, history = "x" })
    refused("history must be a list of messages", { model = model, history = user "x" })
    refused("history[1] must be a message", { model = model, history = { "x" } })
    for _, steps in ipairs { 0, -1, 1.5, "3" } do
      refused("max_steps must be a whole number", { model = model, max_steps = steps })
    end
  end)

  it("refuses a prompt that is none, before the model is asked", function()
    local agent, model = agent_of {}
    for _, way in ipairs { "run", "run_stream" } do
      raises(keycycle.KeycycleError, "a prompt is a text", agent[way], agent, nil)
      local err = raises(keycycle.KeycycleError, "prompt must be a list", agent[way], agent,
        user "x")
      assert.equal("bad_request", err.code)
      raises(keycycle.InvalidConfigurationError, "options are a table", agent[way], agent, "x", 3)
      raises(keycycle.InvalidConfigurationError, "the tools of an agent", agent[way], agent, "x",
        { tools = {} })
    end
    assert.same({}, model.asked)
  end)

  it("tells its instructions first, and only to the model", function()
    local agent, model = agent_of({ "Hello", "Hi" }, { instructions = { "Be kind.", "Be brief." } })
    local result = agent:run "Good day"
    assert.same({ "Be kind.\nBe brief.", "Good day" }, contents(model.asked[1].messages))
    assert.same({ "Good day", "Hello" }, contents(result.messages))
    assert.equal("Hello", tostring(result))
    agent:run { user "one", { role = "assistant", content = "two" }, user "three" }
    assert.equal("system user assistant user assistant user",
      scripted.roles(model.asked[2].messages))
  end)

  it("gives what a run came to as a task, too", function()
    local agent, model = agent_of { "Hello" }
    local prompt = { user "one" }
    local t, wrong = agent:arun(prompt), agent:arun(3)
    prompt[2] = user "two"
    assert.equal("Hello", t:await().content)
    assert.same({ "one" }, contents(model.asked[1].messages))
    raises(keycycle.KeycycleError, "a prompt is a text", wrong.await, wrong)
  end)

  it("keeps copies of what it is told, as deep as they go", function()
    local first, prompt = user "first", user { { type = "text", text = "second" } }
    local agent, model = agent_of({ "Hello" }, { history = { first } })
    first.content = "changed"
    local t = agent:arun { prompt }
    prompt.content[1].text = "changed"
    local result = t:await()
    assert.equal("first", model.asked[1].messages[1].content)
    assert.equal("second", result.messages[2].content[1].text)
    local loop = user {}
    loop.content[1] = loop
    raises(keycycle.KeycycleError, "nested too deep", agent.run, agent, { loop })
  end)

  for way, go in pairs(ways) do
    it("calls tools and tells their results, by " .. way, function()
      local agent, model = agent_of({ { { "weather", { city = "Rome" } },
        { "weather", { city = "Oslo" } }, content = "Let me look. " }, "Both are mild." },
        { tools = { WEATHER } })
      local result, text = go(agent, "Rome and Oslo?", { temperature = 0.5 })
      assert.equal("Both are mild.", result.content)
      assert.equal(way == "run" and result.content or "Let me look.Both are mild.", text)
      assert.equal("user assistant tool tool", scripted.roles(model.asked[2].messages))
      assert.same({ "Rome and Oslo?", "Let me look. ", "Rome: 12 degrees", "Oslo: 12 degrees",
        "Both are mild." }, contents(result.messages))
      assert.same({ "c1_1", "c1_2", "weather" }, { result.messages[3].tool_call_id,
        result.messages[4].tool_call_id, result.messages[4].name })
      assert.same({ 2, 2, 0, "Rome", "Oslo: 12 degrees" }, { #result.steps, #result.steps[1].tools,
        #result.steps[2].tools, result.steps[1].tools[1].arguments.city,
        result.steps[1].tools[2].content })
      assert.same({ input_tokens = 4, output_tokens = 2, total_tokens = 6 }, result.usage)
      assert.equal("stop", result.finish_reason)
      for _, asked in ipairs(model.asked) do
        assert.same({ temperature = 0.5, tools = { { name = "weather", description = "Of a city",
          parameters = CITY } } }, asked.opts)
      end
    end)

    it("tells the model what was wrong with a call, by " .. way, function()
      local agent, model = agent_of({ { { "weather", { town = "Rome" } }, { "wether", {} },
        { "weather", {}, text = "{" } }, "Sorry." }, { tools = { WEATHER } })
      local result = go(agent, "Rome?")
      local said = contents(model.asked[2].messages)
      assert.same({ "Error: the arguments do not fit: city is missing",
        'Error: there is no tool "wether" (there are: weather)',
        "Error: the arguments are no JSON object" }, table.move(said, 3, 5, 1, {}))
      assert.truthy(result.steps[1].tools[1].error)
      assert.equal("Sorry.", result.content)
    end)

    it("ends after max_steps calls of the model, whole, and goes on from there, by " .. way,
      function()
        local again, lines = { { "weather", { city = "Rome" } } }, {}
        local agent, model = agent_of({ again, again, "Done." }, { tools = { WEATHER },
          max_steps = 2 })
        log.set_sink(function(_, message) lines[#lines + 1] = message end)
        local result = go(agent, "Rome?")
        log.set_sink(nil)
        assert.same({ "max_steps", "", 2 }, { result.finish_reason, result.content,
          #result.steps })
        assert.truthy(lines[1]:find "after 2 calls")
        assert.equal("user assistant tool assistant tool", scripted.roles(result.messages))
        assert.equal("Done.", go(agent, "Go on.").content)
        assert.equal("user assistant tool assistant tool user",
          scripted.roles(model.asked[3].messages))
      end)

    it("remembers what was said, unless the run failed, by " .. way, function()
      local agent, model = agent_of { "one", function() error("broken", 0) end,
        { { "weather", {} } }, function() error("broken", 0) end, "two" }
      go(agent, "1")
      for _ = 1, 2 do assert.same({ false, "broken" }, { pcall(go, agent, "lost") }) end
      local result = go(agent, "2")
      assert.same({ "1", "one", "2" }, contents(model.asked[5].messages))
      assert.same({ "1", "one", "2", "two" }, contents(result.messages))
      assert.same(result.messages, agent.history)
      agent:reset()
      assert.same({}, agent.history)
    end)
  end

  it("begins with the history that it is given, and never writes to it", function()
    local history = { user "My name is Ann.", { role = "assistant", content = "Hello Ann." } }
    local prompt = { user "And you?" }
    local agent, model = agent_of({ "I am Bob.", "Ann." }, { history = history })
    agent:run(prompt)
    agent:run "Who am I?"
    assert.same({ 2, 1 }, { #history, #prompt })
    assert.same({ "My name is Ann.", "Hello Ann.", "And you?", "I am Bob.", "Who am I?" },
      contents(model.asked[2].messages))
    history[1] = nil
    agent:reset()
    assert.same({ "My name is Ann.", "Hello Ann." }, contents(agent.history))
  end)

  it("has what it remembers in a form that can be kept and begun with", function()
    local agent = agent_of({ { { "weather", { city = "Rome" } } }, "Mild." },
      { tools = { WEATHER }, instructions = "Be brief." })
    agent:run "Rome?"
    local kept = keycycle.json.decode(keycycle.json.encode(agent.history))
    local later, model = agent_of({ "Yes." }, { history = kept, instructions = "Be brief." })
    later:run "Sure?"
    assert.equal("system user assistant tool assistant user",
      scripted.roles(model.asked[1].messages))
  end)

  it("remembers nothing where it is told so", function()
    local agent, model = agent_of({ "one", "two" }, { history = false })
    agent:run "1"
    agent:run "2"
    assert.same({ "2" }, contents(model.asked[2].messages))
    assert.same({}, agent.history)
  end)

  it("keeps the conversations of runs side by side apart", function()
    local function slowly(self)
      local said = self.asked[#self.asked].messages
      local word = said[#said].content
      keycycle.sleep(0)
      return "to " .. word
    end
    local agent, model = agent_of({ "to 0", slowly, slowly, slowly })
    agent:run "0"
    local tasks = {}
    for i = 1, 3 do tasks[i] = agent:arun(tostring(i)) end
    for i, result in ipairs(keycycle.gather(tasks)) do
      assert.same({ "0", "to 0", tostring(i), "to " .. i }, contents(result.messages))
      assert.same({ "0", "to 0", tostring(i) }, contents(model.asked[i + 1].messages))
    end
    local all = contents(agent.history)
    assert.equal(8, #all)
    for i = 1, 8, 2 do assert.equal("to " .. all[i], all[i + 1]) end
  end)

  it("has one deadline for all steps, which no tool outlives", function()
    local slow = { name = "slow", run = function() keycycle.sleep(3600) end }
    local quick = { name = "quick", run = function() return 1 end }
    local agent, model = agent_of({ { { "quick", {} } }, { { "slow", {} } } },
      { tools = { slow, quick } })
    raises(keycycle.TimeoutError, "deadline", agent.run, agent, "x", { deadline = 0.2 })
    assert.equal(0.2, model.asked[1].opts.deadline)
    local left = model.asked[2].opts.deadline
    assert.is_true(left > 0 and left < 0.2)
  end)

  it("must call a tool in its first step only, where the caller says so", function()
    local agent, model = agent_of({ { { "weather", { city = "Rome" } } }, "Mild." },
      { tools = { WEATHER } })
    agent:run("Rome?", { tool_choice = "required" })
    assert.same({ "required", "auto" }, { model.asked[1].opts.tool_choice,
      model.asked[2].opts.tool_choice })
  end)

  it("that is cancelled cancels its tools, and tells no model of it", function()
    local seen
    local agent, model = agent_of({ { { "wait", {} } } }, { tools = { { name = "wait",
      run = function()
        local ok, err = pcall(keycycle.sleep, 3600)
        seen = not ok and err
        error(err, 0)
      end } } })
    local t = agent:arun "x"
    for _ = 1, 3 do keycycle.step(0) end
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    while keycycle.step(0) > 0 do end
    assert.is_true(keycycle.is(seen, keycycle.CancelledError))
    assert.equal(1, #model.asked)
    assert.same({}, agent.history)
  end)
end)

describe("an agent's stream", function()
  it("gives the text as it comes, and tools before and after they are called", function()
    local agent = agent_of({ { { "weather", { city = "Rome" } }, content = "Let me look." },
      "It is mild." }, { tools = { WEATHER } })
    local seen = {}
    for text, chunk in agent:run_stream "Rome?" do
      if chunk.tool then
        assert.equal("", text)
        seen[#seen + 1] = chunk.tool.name .. " " .. (chunk.tool.content or "…")
      elseif text ~= "" then
        seen[#seen + 1] = text
      end
    end
    assert.same({ "Let", " me", " look.", "weather …", "weather Rome: 12 degrees", "It", " is",
      " mild." }, seen)
  end)

  it("closes what it reads from when it is left, and the run never was", function()
    local agent, model = agent_of { "one two three" }
    local read = 0
    for _ in agent:run_stream "x" do
      read = read + 1
      if read == 2 then break end
    end
    assert.is_true(model.stream.closed)
    assert.same({}, agent.history)
    local stream <close> = agent_of({ "one two" }):run_stream "x"
    stream:next()
    stream:close()
    assert.is_nil(stream:next())
    assert.equal("stream of an agent (closed)", tostring(stream))
    raises(keycycle.KeycycleError, "closed before its end", stream.result, stream)
  end)

  it("makes no call of a tool once it is closed", function()
    local ran = false
    local agent = agent_of({ { { "t", {} }, content = "Look" } },
      { tools = { { name = "t", run = function() ran = true end } } })
    local stream = agent:run_stream "x"
    repeat local _, chunk = stream:next() until chunk.tool
    stream:close()
    assert.is_nil(stream:next())
    assert.is_false(ran)
  end)

  it("that is closed while another task reads it ends there", function()
    local closed, took = false, false
    local source = setmetatable({ close = function() closed = true end,
      response = function() took = true end }, { __call = function()
        while not closed do keycycle.sleep(0) end
      end })
    local agent = keycycle.Agent { model = { invoke = print,
      invoke_stream = function() return source end } }
    local stream = agent:run_stream "x"
    local reader = keycycle.spawn(stream.next, stream)
    keycycle.step(0)
    stream:close()
    assert.is_nil(reader:await())
    assert.is_false(took)
  end)

  it("raises what breaks it off, and is closed then", function()
    local agent, model = agent_of { { content = "one two", breaks = "cut" } }
    local stream = agent:run_stream "x"
    local texts = {}
    local ok, err = pcall(function()
      for text in stream do texts[#texts + 1] = text end
    end)
    assert.same({ false, "cut", { "one", " two" } }, { ok, err, texts })
    assert.is_true(model.stream.closed)
    assert.is_nil(stream:next())
    assert.same({}, agent.history)
    raises(keycycle.KeycycleError, "closed", stream.result, stream)
  end)
end)

describe("print_response", function()
  it("prints the text, in a line of its own, and gives the result", function()
    local path = os.tmpname()
    local out, before = assert(io.open(path, "w")), io.output()
    local agent = agent_of({ { { "weather", { city = "Rome" } }, content = "Let me look." },
      "It is \27[1mmild." }, { tools = { WEATHER } })
    io.output(out)
    local ok, result = pcall(agent.print_response, agent, "Rome?")
    io.output(before)
    out:close()
    local file <close> = io.open(path)
    os.remove(path)
    assert.is_true(ok, result)
    assert.equal("It is \27[1mmild.", result.content)
    assert.equal("Let me look.\nIt is \27[1mmild.\n", file:read "a")
  end)
end)
