--- What programs are given, made for real, beside its annotations: every field that is there
--- is annotated, and every method.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local meta = require "tests.support.meta"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-1", "sk-mock-2" }

-- That a table has no field which its class lacks, and all that it cannot lack.
local function fits(class, given)
  local known = meta.members(class)
  for name in pairs(given) do
    assert.is_true(math.type(name) ~= nil or known[name] ~= nil or known["[string]"] ~= nil,
      class .. "." .. tostring(name))
  end
  for name, member in pairs(known) do
    if member.kind == "field" and not member.optional and not name:find "^%[" then
      assert.is_not_nil(given[name], class .. "." .. name)
    end
  end
end

local function methods_of(object)
  return meta.keys(getmetatable(object).__index, true)
end

local mock, wrapper, client
setup(function() mock = servers.mock "--rpm 50 --keys sk-mock-1,sk-mock-2" end)
teardown(function() mock.stop() end)
before_each(function()
  keycycle.log.set_sink(function() end)
  wrapper = keycycle.MultiClientWrapper.new { scripts = false }
  wrapper:register_provider("local", { base_url = mock.url, keys = KEYS, default_model = "m" })
  client = wrapper:get_rotating_client "local"
end)
after_each(function()
  wrapper:stop()
  keycycle.log.set_sink(nil)
end)

local function ask(text, more)
  local request = { messages = { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do request[k] = v end
  return client.chat.completions:create(request)
end

describe("the annotations", function()
  it("have what a client's answers have", function()
    local response = ask "hello"
    fits("keycycle.openai.ChatCompletion", response)
    fits("keycycle.openai.ChatChoice", response.choices[1])
    fits("keycycle.openai.ChatMessage", response.choices[1].message)
    fits("keycycle.openai.ChatUsage", response.usage)
    local info = keycycle.info(response)
    fits("keycycle.Info", info)
    fits("keycycle.Attempt", info.attempts[1])
    fits("keycycle.Usage", info.usage)
    local stream <close> = ask("hello", { stream = true })
    assert.same(methods_of(stream), meta.names("keycycle.Stream", "function"))
    local chunk, meaning
    repeat chunk, meaning = stream:step() until meaning
    fits("keycycle.openai.ChatChunk", chunk)
    fits("keycycle.openai.ChatChunkChoice", chunk.choices[1])
    fits("keycycle.Chunk", meaning)
    fits("keycycle.openai.EmbeddingList", client.embeddings:create { input = "a" })
    fits("keycycle.openai.ModelList", client.models:list())
  end)

  it("have what a model's answers have", function()
    local model = wrapper:get_model "local"
    fits("keycycle.Model", { id = model.id, provider = model.provider })
    fits("keycycle.Response", model:invoke "hello")
    local stream <close> = model:invoke_stream "hello"
    assert.same(methods_of(stream), meta.names("keycycle.ModelStream", "function"))
    local _, chunk = stream:next()
    fits("keycycle.Chunk", chunk)
    stream:text()
    fits("keycycle.Response", stream:response())
  end)

  it("have what an agent's runs have", function()
    local tool = { name = "now", description = "the time", run = function() return "noon" end }
    local agent = keycycle.Agent { model = wrapper:get_model "local", tools = { tool } }
    local result = agent:run "mock:tool=now"
    fits("keycycle.AgentResult", result)
    fits("keycycle.Step", result.steps[1])
    fits("keycycle.ToolRun", result.steps[1].tools[1])
    fits("keycycle.Message", result.messages[1])
    fits("keycycle.ToolCall", result.steps[1].response.tool_calls[1])
    local stream <close> = agent:run_stream "hello"
    assert.same(methods_of(stream), meta.names("keycycle.AgentStream", "function"))
    for name in pairs(meta.members "keycycle.Agent") do
      assert.is_true(agent[name] ~= nil or name == "instructions", name)
    end
  end)

  it("have what a manager tells", function()
    local manager = wrapper:get_manager "local"
    local events = {}
    local leave = manager:on("acquire", function(event) events[#events + 1] = event end)
    ask "hello"
    keycycle.step(0)
    leave()
    fits("keycycle.Event", events[1])
    local all = manager:get_global_stats()
    fits("keycycle.GlobalStats", all)
    fits("keycycle.Snapshot", all.total)
    assert.same(meta.keys(all.total), meta.names "keycycle.Snapshot")
    fits("keycycle.KeyStats", all.keys[1])
    fits("keycycle.KeyBreakdown", manager:get_key_stats(1))
    fits("keycycle.ModelStats", manager:get_model_stats "m")
    fits("keycycle.KeyStats", manager:get_granular_stats(1, "m"))
    manager:disable(2)
    for _, key in ipairs(manager:keys()) do fits("keycycle.KeyState", key) end
    for _, key in ipairs(manager:explain()) do fits("keycycle.Explanation", key) end
    manager:disable(1)
    fits("keycycle.NoLease", select(2, manager:get_key()))
  end)

  it("have what policies and selections are told, and what is raised", function()
    local failure, candidates
    local tried = wrapper:get_rotating_client("local", { policy = function(given)
      failure = given
      return "fail"
    end })
    local ok, err = pcall(tried.chat.completions.create, tried.chat.completions,
      { messages = { { role = "user", content = "mock:status=503" } } })
    assert.is_false(ok)
    fits("keycycle.Failure", failure)
    local fields = { class = err.class }
    for name, value in pairs(err) do fields[name] = value end
    fits("keycycle.Error", fields)
    fits("keycycle.Attempt", err.attempts[1])
    wrapper:register_provider("local", { base_url = mock.url, keys = KEYS, default_model = "m",
      selection = function(list)
        candidates = list
        return list[1].index
      end })
    ask "hello"
    fits("keycycle.Candidate", candidates[1])
  end)

  it("have what a transport is given", function()
    local given, methods
    local own = keycycle.MultiClientWrapper.new { scripts = false, transport = {
      start = function(request, exchange)
        given, methods = request, {}
        for _, name in ipairs(meta.names "keycycle.Exchange") do methods[name] = exchange[name] end
        exchange:fail("no", "connect")
      end } }
    own:register_provider("local", { base_url = mock.url, keys = KEYS, default_model = "m" })
    assert.is_false(pcall(function()
      own:get_model("local", { max_retries = 0 }):invoke "hello"
    end))
    own:stop()
    fits("keycycle.TransportRequest", given)
    assert.same(meta.names "keycycle.Exchange", meta.keys(methods, true))
  end)

  it("have what functions of the module return", function()
    fits("keycycle.Verdict", keycycle.classify("gemini", { status = 429,
      body = '{"error":{"message":"PerDayPerProject; retry in 5s"}}' }))
    local simulation = keycycle.simulate { calls_per_hour = 10, hours = 1 }
    assert.same(meta.keys(simulation), meta.names "keycycle.Simulation")
    local answer = keycycle.http.request { url = mock.root .. "/journal" }
    assert.same(meta.keys(answer), meta.names "keycycle.HttpResponse")
    files.with("LOCALS_API_KEY=sk-aaaaaaaaaaaaaaaa\n", function(path)
      fits("keycycle.LoadedKey", keycycle.load_api_keys("locals", { env_file = path })[1])
    end)
    fits("keycycle.ErrorClass", keycycle.TimeoutError)
  end)
end)
