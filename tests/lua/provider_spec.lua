local keycycle = require "keycycle"
local provider = require "keycycle.provider"

local function refused(word, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_true(keycycle.is(err, keycycle.InvalidConfigurationError), tostring(err))
  assert.truthy(err.message:find(word, 1, true), err.message)
  return err
end

describe("a provider's definition", function()
  it("raises for a field that is not known, and names it", function()
    refused("baseurl", keycycle.provider, { name = "mine", baseurl = "https://a.test" })
  end)

  it("raises for a field of the wrong type, and names it", function()
    refused("base_url", keycycle.provider, { name = "mine", base_url = 5 })
    refused("routes", keycycle.provider, { name = "mine", routes = "all" })
    refused("string", keycycle.provider, "mine")
  end)

  it("names the figures of usage as they are known", function()
    refused("input_tokens", keycycle.provider, { name = "mine", usage = { input = "units.in" } })
    local mine = keycycle.provider { name = "mine", usage = { input_tokens = "units.in" } }
    assert.equal("units.in", mine.usage.input_tokens)
  end)

  it("needs a name, and a whole auth", function()
    refused("name", keycycle.provider, { base_url = "https://a.test" })
    refused("auth", keycycle.provider, { name = "mine", auth = { header = "authorization" } })
    refused("auth", keycycle.provider, { name = "mine", auth = { value = "{api_key}" } })
  end)

  it("inherits what it does not say, but its name and variables", function()
    local mine = keycycle.provider { name = "mine", extends = "groq",
      base_url = "https://a.test/v1" }
    local groq = provider.get "groq"
    assert.equal("mine", mine.name)
    assert.equal("https://a.test/v1", mine.base_url)
    assert.equal(groq.auth, mine.auth)
    assert.equal(groq.routes, mine.routes)
    mine = keycycle.provider { name = "mine", extends = "groq", base_url = "https://a.test/v1",
      routes = { rerank = { method = "POST", path = "/rerank" }, ["embeddings.create"] = false } }
    assert.equal("/rerank", mine.routes.rerank.path)
    assert.equal(groq.routes["models.list"], mine.routes["models.list"])
    assert.is_nil(mine.routes["embeddings.create"])
    assert.is_table(groq.routes["embeddings.create"])
    assert.equal("MINE", provider.env_prefix(mine))
    refused("nobody", keycycle.provider, { name = "mine", extends = "nobody" })
  end)
end)

describe("the built-in providers", function()
  it("have the hosts that their makers document", function()
    assert.equal("https://api.openai.com/v1", provider.get("openai").base_url)
    assert.equal("https://api.groq.com/openai/v1", provider.get("groq").base_url)
    assert.is_nil(provider.get("openai_compatible").base_url)
    assert.is_nil(provider.get "nobody")
    for _, name in ipairs { "anthropic", "azure_openai", "cerebras", "cloudflare", "cohere",
      "deepseek", "fireworks", "gemini", "groq", "huggingface", "llamacpp", "mistral", "nvidia",
      "ollama", "openai", "openrouter", "perplexity", "sambanova", "together", "twelvelabs",
      "vllm", "xai" } do
      assert.truthy(provider.get(name).base_url:find "^https?://", name)
    end
    local names = provider.names()
    assert.equal("anthropic", names[1])
    assert.is_nil(table.concat(names, " "):find("openai_compatible", 1, true))
  end)

  it("send the key in one header only", function()
    for _, name in ipairs(provider.names()) do
      local auth = provider.get(name).auth
      assert.is_string(auth.header)
      assert.is_nil(auth.query)
      assert.truthy(auth.value:find("{api_key}", 1, true))
    end
    assert.same({ header = "authorization", value = "Bearer {api_key}" },
      provider.get("openai").auth)
    assert.same({ header = "x-api-key", value = "{api_key}" }, provider.get("anthropic").auth)
  end)

  it("serve the paths of the provider's own client", function()
    local routes = provider.get("openai").routes
    assert.equal("/chat/completions", routes["chat.completions.create"].path)
    assert.equal("/embeddings", routes["embeddings.create"].path)
    assert.equal("/models", routes["models.list"].path)
    assert.equal("GET", routes["models.list"].method)
  end)

  it("count a day of requests at Groq and a minute of tokens", function()
    local windows = {}
    for _, line in ipairs(provider.get("groq").limit_headers) do
      windows[line.unit] = line.window
    end
    assert.same({ requests = "day", tokens = "minute" }, windows)
  end)
end)

describe("a name to register", function()
  it("is built in, or any server that the program gives an address for", function()
    assert.equal(provider.get "openai", provider.resolve "openai")
    assert.equal(provider.get "groq", provider.resolve("groq", "http://127.0.0.1:1/v1"))
    local mine = provider.resolve("my-server", "http://127.0.0.1:1/v1")
    assert.equal("my-server", mine.name)
    assert.equal(provider.get("openai_compatible").routes, mine.routes)
  end)

  it("is refused without one, with the known names", function()
    local err = refused("openai, openrouter", provider.resolve, "my-server")
    assert.equal("unknown_provider", err.code)
    assert.truthy(err.message:find("my-server", 1, true))
  end)

  it("makes the prefix of its variables", function()
    assert.equal("OPENAI", provider.env_prefix(provider.get "openai"))
    assert.equal("GROQ", provider.env_prefix(provider.get "groq"))
    assert.equal("MY_SERVER_2", provider.env_prefix(provider.resolve("my-server.2", "http://a")))
  end)
end)
