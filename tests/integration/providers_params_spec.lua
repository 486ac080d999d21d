--- What belongs to a key beside its text, over real HTTP: each request carries its own
--- key's, whatever key it goes to; and the cheapest call that tries a key.
local keycycle = require "keycycle"
local conform = require "tests.support.conform"
local facts = require "tests.support.facts"
local files = require "tests.support.files"
local raises = require "tests.support.raises"

setup(conform.start)
teardown(conform.stop)

local s
local function open(...) s = conform.open(...) end

local function keys(one, two)
  one.api_key, two.api_key = conform.KEYS[1], conform.KEYS[2]
  return { one, two }
end

-- What the requests that came have in common with their keys: each request's key and `read`
-- of it.
local function by_key(read)
  local out = {}
  for i, entry in ipairs(s:seen()) do out[i] = { entry.key, read(entry) } end
  return out
end

local function field_of(name)
  return function(entry)
    return entry.body:match('name="' .. name .. '"\r\n\r\n([^\r]*)\r\n')
  end
end

local function path_of(entry) return entry.path end

before_each(function() keycycle.log.set_sink(function() end) end)
after_each(function() keycycle.log.set_sink(nil) end)

describe("a key's own parameters", function()
  after_each(function() s:close() end)

  it("go along with it: an index of TwelveLabs in a search", function()
    open("twelvelabs", { spent = { conform.KEYS[1] } })
    local search = { query_text = "a cat", search_options = { "visual", "audio" } }
    local response = s.client.search:query(search)
    assert.equal("index-two", response.search_pool.index_id)
    assert.same({ { 1, "index-one" }, { 2, "index-two" } }, by_key(field_of "index_id"))
    assert.same({ index_id = "index-two" }, keycycle.info(response).params)
    assert.is_nil(search.index_id)
    response = s.client.search:query { query_text = "a cat", search_options = { "visual" },
      index_id = "my-own" }
    assert.equal("my-own", response.search_pool.index_id)
  end)

  it("go along with it: an index of TwelveLabs in an upload", function()
    open("twelvelabs", { faults = { { key = 1, kind = "auth" } } })
    files.with("moving pictures", function(path)
      assert.truthy(s.client.tasks:create { video_file = path }._id)
    end)
    assert.same({ { 1, "index-one" }, { 2, "index-two" } }, by_key(field_of "index_id"))
    assert.equal("moving pictures",
      s:seen()[2].body:match 'name="video_file".-\r\n\r\n(moving pictures)\r\n')
    assert.equal("index-two", s.client.indexes:retrieve {}._id)
    assert.equal("ready", s.client.tasks:retrieve { id = "task-1" }.status)
  end)

  it("stand in the path: an account of Cloudflare", function()
    open("cloudflare", { spent = { conform.KEYS[1] } })
    s:ask "Hello"
    local function account(entry) return entry.path:match "/accounts/(%d+)/ai/v1/chat" end
    assert.same({ { 1, ("1"):rep(32) }, { 2, ("2"):rep(32) } }, by_key(account))
    local err = raises(keycycle.InvalidConfigurationError, "CLOUDFLARE_ACCOUNT_ID_1",
      s.wrapper.register_provider, s.wrapper, "cloudflare", { keys = { conform.KEYS[1] },
        base_url = s.server.url .. "/client/v4/accounts/{account_id}/ai" })
    assert.is_false(conform.shows_key { err, tostring(err) })
  end)

  it("stand in the host, the path and the query: a resource of Azure", function()
    open("azure_openai", { spent = { conform.KEYS[1] } })
    local port = s.server.url:match ":(%d+)$"
    s.wrapper:register_provider("azure_openai", { selection = "fill_first",
      base_url = "http://{resource}:" .. port, allow_insecure = true,
      keys = keys({ resource = "127.0.0.1", deployment = "mine" },
        { resource = "localhost", deployment = "yours", api_version = "2025-04-01-preview" }) })
    assert.equal("You said: Hello", s.form.text(s:ask "Hello"))
    local chat = "/openai/deployments/%s/chat/completions?api-version=%s"
    assert.same({ { 1, "127.0.0.1:" .. port .. chat:format("mine", "2024-10-21") },
      { 2, "localhost:" .. port .. chat:format("yours", "2025-04-01-preview") } },
      by_key(function(entry) return entry.headers.host .. entry.path .. "?" .. entry.query end))
  end)

  it("stand in headers: an organisation and a project of OpenAI, or none", function()
    open("openai", { faults = { { key = 1, kind = "auth" } } },
      { keys = keys({ organization = "org-one", project = "proj-one" }, {}) })
    s:ask "Hello"
    assert.same({ { 1, "org-one proj-one" }, { 2, "none none" } }, by_key(function(entry)
      local headers = entry.headers
      return (headers["openai-organization"] or "none") .. " "
        .. (headers["openai-project"] or "none")
    end))
  end)

  it("stand in headers: who pays at Hugging Face", function()
    open("huggingface", {}, { keys = keys({ bill_to = "our-lab" }, {}) })
    s:ask "Hello"
    assert.same({ { 1, "our-lab" } },
      by_key(function(entry) return entry.headers["x-hf-bill-to"] end))
  end)

  it("are read from the environment beside their keys", function()
    open("twelvelabs")
    local text = ("NUM_TWELVELABS=2\nTWELVELABS_API_KEY_1=%s\nTWELVELABS_INDEX_ID_1=env-one\n"
      .. "TWELVELABS_API_KEY_2=%s\nTWELVELABS_INDEX_ID_2=env-two\n")
      :format(conform.KEYS[1], conform.KEYS[2])
    files.with(text, function(path)
      local wrapper <close> = keycycle.MultiClientWrapper.from_env(
        { twelvelabs = { base_url = s.server.url .. "/v1.3" } }, { env_file = path })
      local client = wrapper:get_rotating_client "twelvelabs"
      for i = 1, 2 do
        client.search:query({ query_text = "a", search_options = { "visual" } },
          { key_id = i, pin_key = true })
      end
    end)
    assert.same({ { 1, "env-one" }, { 2, "env-two" } }, by_key(field_of "index_id"))
  end)
end)

describe("the check of a key", function()
  after_each(function() s:close() end)

  for _, name in ipairs(facts.names()) do
    it("of " .. name .. " is one call that costs nothing, and tells a dead one", function()
      open(name, { dead = { conform.KEYS[2] } })
      local answer = s.client:check()
      assert.equal("table", type(answer))
      local entry, count = s:last()
      assert.same({ 1, s.fact.check[1], s.fact.check[2], 1 },
        { count, entry.method, entry.path, entry.key })
      assert.equal(0, s:journal()[1].total_tokens)
      assert.same({ 1, 0, 0 }, s:used())
      raises(keycycle.InvalidKeyError, nil, s.client.check, {}, { key_id = 2, pin_key = true,
        max_retries = 0 })
      assert.same({ { 1, s.fact.check[2] }, { 2, (s:last()).path } }, by_key(path_of))
      assert.equal("suspended", s:states()[2])
    end)
  end
end)
