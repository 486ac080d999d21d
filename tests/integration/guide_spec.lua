--- What the guide of the Python package shows, feature by feature and in its order, in
--- Lua against the mock.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local OPENAI = { "sk-mock-aaaaaaaaaaaaaaaa-01", "sk-mock-bbbbbbbbbbbbabc123" }
local ANTHROPIC = { "sk-ant-mock-aaaaaaaaaa-01", "sk-ant-mock-bbbbbbbbbb-02" }

local ENV = ([[
NUM_OPENAI=2
OPENAI_API_KEY_1=%s
OPENAI_API_KEY_2=%s
NUM_ANTHROPIC=2
ANTHROPIC_API_KEY_1=%s
ANTHROPIC_API_KEY_2=%s
NUM_TWELVELABS=2
TWELVELABS_API_KEY_1=tlk-aaaaaaaaaaaaaaaa
TWELVELABS_API_KEY_2=tlk-bbbbbbbbbbbbbbbb
TWELVELABS_INDEX_ID_1=idx_abc123
TWELVELABS_INDEX_ID_2=idx_xyz789
]]):format(OPENAI[1], OPENAI[2], ANTHROPIC[1], ANTHROPIC[2])

local hello = { model = "gpt-4", messages = { { role = "user", content = "Hello" } } }

local env_file, openai, anthropic
setup(function()
  env_file = files.write(ENV)
  openai = servers.mock("--keys " .. table.concat(OPENAI, ","))
  anthropic = servers.mock("--style anthropic --keys " .. table.concat(ANTHROPIC, ","))
end)
teardown(function()
  openai.stop()
  anthropic.stop()
  os.remove(env_file)
end)

-- A wrapper of many providers: that of openai is on the mock, with more said of it.
local function from_env(more, opts)
  local config = { default_model = "gpt-4", base_url = openai.url }
  for k, v in pairs(more or {}) do config[k] = v end
  opts = opts or {}
  opts.env_file = opts.env_file or env_file
  return keycycle.MultiClientWrapper.from_env(
    { openai = keycycle.ProviderEnvConfig(config) }, opts)
end

-- A wrapper of one provider on the mock.
local function one(more)
  local opts = { provider = "openai", default_model_id = "gpt-4", env_file = env_file,
    base_url = openai.url }
  for k, v in pairs(more or {}) do opts[k] = v end
  return keycycle.MultiProviderWrapper.from_env(opts)
end

local function text_of(response)
  return response.choices[1].message.content
end

describe("the environment", function()
  it("names the keys by numbers, with extra parameters", function()
    local keys = keycycle.load_api_keys("openai", { env_file = env_file })
    assert.same(OPENAI, { keys[1].api_key, keys[2].api_key })
    keys = keycycle.load_api_keys("twelvelabs", { env_file = env_file,
      extra_params = { "index_id" } })
    assert.same({ "idx_abc123", "idx_xyz789" },
      { keys[1].params.index_id, keys[2].params.index_id })
  end)

  it("may name a database for the usage", function()
    local folder, remove = files.folder()
    local path = files.write(("%sTIDB_DB_URL=sqlite:%s/usage.db\n"):format(ENV, folder))
    for run = 1, 2 do
      local wrapper <close> = from_env(nil, { env_file = path })
      wrapper:get_rotating_client("openai").chat.completions:create(hello)
      assert.equal(run, wrapper:get_manager("openai"):get_global_stats().total.rpd)
    end
    os.remove(path)
    remove()
  end)
end)

describe("database persistence", function()
  it("brings all statistics back", function()
    local folder, remove = files.folder()
    local before
    for run = 1, 2 do
      local wrapper = from_env({ selection = "fill_first" },
        { db_url = "sqlite:" .. folder .. "/usage.db" })
      local manager = wrapper:get_manager "openai"
      if run == 1 then
        local client = wrapper:get_rotating_client("openai", keycycle.OpenAI)
        client.chat.completions:create(hello)
        client.chat.completions:create(hello, { key_id = "abc123" })
      end
      local stats = { manager:get_global_stats().total, manager:get_key_stats(1),
        manager:get_key_stats "abc123", manager:get_model_stats "gpt-4",
        manager:get_granular_stats(1, "gpt-4") }
      assert.equal(2, stats[1].total_requests)
      assert.equal(1, stats[3].breakdown["gpt-4"].total_requests)
      assert.is_true(stats[5].snapshot.total_tokens > 0)
      assert.same(before or stats, stats)
      before = stats
      wrapper:stop()
    end
    remove()
  end)
end)

describe("the OpenAI client", function()
  it("is used as its maker's own, and rotates", function()
    local wrapper <close> = from_env { limits = { requests_per_minute = 1 } }
    local client = wrapper:get_rotating_client("openai", keycycle.OpenAI)
    local used = {}
    for i = 1, 2 do
      local response = client.chat.completions:create(hello)
      assert.equal("You said: Hello", text_of(response))
      used[i] = keycycle.info(response).key_index
    end
    table.sort(used)
    assert.same({ 1, 2 }, used)
  end)

  it("goes to the next key when the provider refuses one", function()
    local server <close> = setmetatable(servers.mock("--rpm 1 --no-limit-headers --keys "
      .. table.concat(OPENAI, ",")), { __close = function(s) s.stop() end })
    local wrapper <close> = from_env { base_url = server.url, selection = "fill_first" }
    local client = wrapper:get_rotating_client("openai", keycycle.OpenAI)
    client.chat.completions:create(hello)
    local info = keycycle.info(client.chat.completions:create(hello))
    local first = info.attempts[1]
    assert.same({ 2, 429, 200 }, { #info.attempts, first.status, info.status })
    assert.is_true(first.key_index ~= info.key_index)
  end)

  it("is async with another face", function()
    local wrapper <close> = from_env()
    local client = wrapper:get_rotating_client("openai", keycycle.AsyncOpenAI)
    assert.equal("You said: Hello", text_of(client.chat.completions:create(hello):await()))
  end)

  it("comes from a wrapper of one provider, too, as any other does", function()
    local wrapper <close> = one()
    local opts = { estimated_tokens = 1000, max_retries = 5 }
    local client = wrapper:get_openai_client(opts)
    assert.equal("You said: Hello", text_of(client.chat.completions:create(hello)))
    local async_client = wrapper:get_async_openai_client(opts)
    assert.equal("You said: Hello",
      text_of(async_client.chat.completions:create(hello):await()))
    local anthropic_wrapper <close> = keycycle.MultiProviderWrapper.from_env {
      provider = "anthropic", default_model_id = "claude-3-sonnet-20240229",
      env_file = env_file, base_url = anthropic.url }
    local anthropic_client = anthropic_wrapper:get_rotating_client(keycycle.Anthropic)
    local response = anthropic_client.messages:create { max_tokens = 100,
      messages = hello.messages }
    assert.equal("You said: Hello", response.content[1].text)
    assert.equal("claude-3-sonnet-20240229", response.model)
  end)
end)

describe("a rotating model", function()
  local wrapper
  before_each(function() wrapper = one() end)
  after_each(function() wrapper:stop() end)

  it("is made with and without parameters of its own", function()
    assert.equal("gpt-4", wrapper:get_model().id)
    local model = wrapper:get_model { estimated_tokens = 1000, wait = true, timeout = 10.0,
      max_retries = 5 }
    assert.equal("You said: What is AI?", tostring(model:invoke "What is AI?"))
    assert.equal(0, wrapper.manager:get_global_stats().total.in_flight)
  end)

  it("keeps to one key, by its index (from 1) or its end", function()
    for id, index in pairs { [1] = 1, [2] = 2, abc123 = 2 } do
      local model = wrapper:get_model { key_id = id, pin_key = true }
      for _ = 1, 2 do
        assert.equal(index, keycycle.info(model:invoke "What is AI?").key_index)
      end
    end
    raises(keycycle.KeyNotFoundError, "keys count from 1", function()
      wrapper:get_model({ key_id = 0, pin_key = true }):invoke "What is AI?"
    end)
  end)

  it("is asked plainly, in a task, and for streams of both kinds", function()
    local model = wrapper:get_model()
    local response = model:invoke "What is AI?"
    assert.equal("You said: What is AI?", response.content)
    response = model:ainvoke("What is AI?"):await()
    assert.equal("You said: What is AI?", response.content)
    local parts = {}
    for chunk in model:invoke_stream "What is AI?" do parts[#parts + 1] = chunk end
    assert.equal("You said: What is AI?", table.concat(parts))
    keycycle.run(function()
      parts = {}
      for chunk in model:ainvoke_stream "What is AI?" do parts[#parts + 1] = chunk end
    end)
    assert.equal("You said: What is AI?", table.concat(parts))
    local total = wrapper.manager:get_global_stats().total
    assert.same({ 4, 0 }, { total.total_requests, total.in_flight })
  end)

  it("serves an agent", function()
    local agent = keycycle.Agent { model = wrapper:get_model(),
      instructions = "You are a helpful assistant." }
    local response = agent:run "Tell me about Python"
    assert.equal("You said: Tell me about Python", response.content)
  end)
end)

describe("the configuration", function()
  it("says the model and the strategy", function()
    local strategy = keycycle.RateLimitStrategy
    for kind, served in pairs { [strategy.PER_MODEL] = true, [strategy.GLOBAL] = false } do
      local wrapper <close> = from_env(keycycle.ProviderEnvConfig { default_model = "gpt-4",
        strategy = kind, limits = { requests_per_minute = 1 } })
      local manager = wrapper:get_manager "openai"
      for id = 1, 2 do manager:get_specific_key(id):commit(1) end
      assert.is_nil((manager:get_key "gpt-4"))
      assert.equal(served, manager:get_key "another" ~= nil)
    end
  end)

  it("takes limits of one's own", function()
    local limits = keycycle.RateLimits { requests_per_minute = 10, requests_per_hour = 100,
      requests_per_day = 1000, tokens_per_minute = 100000, tokens_per_hour = 1000000,
      tokens_per_day = 10000000 }
    local wrapper <close> = from_env { limits = limits }
    local held = wrapper:get_manager("openai"):explain()[1].limits
    for name, value in pairs(limits) do assert.equal(value, held[name], name) end
  end)
end)

describe("usage", function()
  it("is told for all, a key, a model, and both", function()
    local many <close> = from_env()
    assert.equal("openai", many:get_manager("openai").provider)
    local wrapper <close> = one { selection = "fill_first" }
    local client = wrapper:get_openai_client { key_id = 2, pin_key = true }
    local tokens = client.chat.completions:create(hello).usage.total_tokens
    client.chat.completions:create { model = "gpt-3", messages = hello.messages }
    local manager = wrapper.manager
    local stats = manager:get_global_stats()
    assert.same({ 2, 2 * tokens }, { stats.total.rpm, stats.total.total_tokens })
    assert.same({ 2, "abc123" }, { stats.keys[2].index, stats.keys[2].suffix })
    assert.equal(0, manager:get_key_stats(1).total.total_requests)
    local key_stats = manager:get_key_stats "abc123"
    assert.same({ 2, 2, 1 },
      { key_stats.index, key_stats.total.rpm, key_stats.breakdown["gpt-3"].rpm })
    assert.is_nil(manager:get_key_stats(3))
    local model_stats = manager:get_model_stats "gpt-4"
    assert.same({ "gpt-4", tokens }, { model_stats.model_id, model_stats.total.total_tokens })
    local granular = manager:get_granular_stats(2, "gpt-4")
    assert.same({ 2, "abc123", 1, tokens }, { granular.index, granular.suffix,
      granular.snapshot.total_requests, granular.snapshot.tpm })
  end)

  it("is kept in a database where one is named", function()
    local folder, remove = files.folder()
    local url = "sqlite:" .. folder .. "/usage.db"
    local tokens
    do
      local wrapper <close> = from_env(nil, { db_url = url })
      tokens = wrapper:get_rotating_client("openai").chat.completions:create(hello)
        .usage.total_tokens
    end
    local wrapper <close> = from_env(nil, { db_url = url })
    assert.equal(tokens, wrapper:get_manager("openai"):get_global_stats().total.tpd)
    remove()
  end)
end)

describe("an error", function()
  it("is of a class that says what to do", function()
    local wrapper <close> = from_env { limits = { requests_per_minute = 1 } }
    local client = wrapper:get_rotating_client "openai"
    for _ = 1, 2 do client.chat.completions:create(hello) end
    local ok, err = pcall(client.chat.completions.create, hello, { wait = false })
    assert.is_false(ok)
    assert.is_true(keycycle.is(err, keycycle.NoAvailableKeyError))
    assert.is_false(keycycle.is(err, keycycle.RateLimitError))
    assert.is_true(keycycle.is(err, keycycle.KeycycleError))
  end)

  it("is a RateLimitError when all attempts are used up", function()
    local server <close> = setmetatable(servers.mock("--no-limit-headers --spent "
      .. table.concat(OPENAI, ",") .. " --keys " .. table.concat(OPENAI, ",")),
      { __close = function(s) s.stop() end })
    local wrapper <close> = from_env { base_url = server.url }
    local client = wrapper:get_rotating_client("openai", { max_retries = 1 })
    raises(keycycle.RateLimitError, nil, client.chat.completions.create, hello)
  end)

  it("names a key that is not there, is refused, or was never set", function()
    local server <close> = setmetatable(servers.mock("--keys other --dead "
      .. table.concat(OPENAI, ",")), { __close = function(s) s.stop() end })
    local wrapper <close> = from_env { base_url = server.url }
    local client = wrapper:get_rotating_client "openai"
    raises(keycycle.KeyNotFoundError, nil, client.chat.completions.create, hello, { key_id = 3 })
    raises(keycycle.InvalidKeyError, nil, client.chat.completions.create, hello)
    local err = raises(keycycle.ConfigurationError, "GROQ", keycycle.MultiClientWrapper.from_env,
      { groq = {} }, { env_file = env_file })
    assert.is_true(keycycle.is(err, keycycle.KeycycleError))
  end)
end)

describe("several providers", function()
  it("are in one wrapper, which is stopped once", function()
    local wrapper = keycycle.MultiClientWrapper.from_env({
      openai = keycycle.ProviderEnvConfig { default_model = "gpt-4", base_url = openai.url },
      anthropic = keycycle.ProviderEnvConfig { default_model = "claude-3-sonnet-20240229",
        base_url = anthropic.url },
    }, { env_file = env_file })
    local openai_client = wrapper:get_rotating_client("openai", keycycle.OpenAI)
    local anthropic_client = wrapper:get_rotating_client("anthropic", keycycle.Anthropic)
    assert.equal("You said: Hello", text_of(openai_client.chat.completions:create(hello)))
    assert.equal("You said: Hello", anthropic_client.messages:create { max_tokens = 100,
      messages = hello.messages }.content[1].text)
    wrapper:stop()
    assert.equal("closed", raises(keycycle.KeycycleError, nil,
      openai_client.chat.completions.create, hello).code)
  end)
end)

describe("the providers that come with limits", function()
  local models = { cerebras = "gpt-oss-120b", groq = "openai/gpt-oss-120b",
    gemini = "gemini-2.5-flash", openrouter = "some/model:free", cohere = "command-a-03-2025" }
  local strategies = { openrouter = "global" }

  for name, model in pairs(models) do
    it("have " .. name .. " among them", function()
      local wrapper <close> = keycycle.MultiClientWrapper.new {}
      wrapper:register_provider(name, { keys = { "sk-test-0123456789abcdefghij" },
        default_model = model })
      local manager = wrapper:get_manager(name)
      local limits = manager:explain()[1].limits
      local limit = limits.requests_per_minute or limits.requests_per_day
      assert.is_true(limit > 0)
      for _ = 1, limit do manager:get_key(model):commit(1) end
      assert.is_nil((manager:get_key(model)))
      local other = strategies[name] == "global" and "another/model:free" or model .. "-other"
      local lease = manager:get_key(other)
      assert.equal(strategies[name] ~= "global", lease ~= nil)
    end)
  end

  it("give a tier of cohere its own", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("cohere", { default_model = "command-a-03-2025",
      keys = { { api_key = "sk-test-0123456789abcdefghij", tier = "pro" } } })
    assert.equal(500, wrapper:get_manager("cohere"):explain()[1].limits.requests_per_minute)
  end)
end)
