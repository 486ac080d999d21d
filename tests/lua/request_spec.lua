local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"
local request = require "keycycle.call.request"

local function entry(name, config)
  return { name = name, adapter = provider.get(name), config = config or {} }
end

local function build(name, route, given, opts, config)
  local e = entry(name, config)
  return request.build(e, e.adapter.routes[route], given, opts or {})
end

local function decoded(built) return keycycle.json.decode(built.text) end

describe("a request", function()
  it("is the caller's table as it is", function()
    local given = { model = "m", messages = { { role = "user", content = "Hi" } } }
    local built = build("openai", "chat.completions.create", given)
    assert.equal(given, built.json)
    assert.same(given, decoded(built))
    assert.equal("m", built.model)
    assert.equal("application/json", built.content_type)
  end)

  it("gets a model where it has none, in a copy", function()
    local given = {}
    local built = build("openai", "chat.completions.create", given, {}, { default_model = "m" })
    assert.equal("m", decoded(built).model)
    assert.is_nil(given.model)
    raises(keycycle.KeycycleError, "no model", build, "openai", "chat.completions.create", {})
  end)

  it("puts Gemini's model into the path, and a stream onto its own", function()
    local given = { model = "gemini-2.5-flash", contents = { { parts = { { text = "Hi" } } } } }
    local built = build("gemini", "models.generate_content", given)
    assert.equal("/models/{model}:generateContent", built.path)
    assert.same({ model = "gemini-2.5-flash" }, built.fields)
    assert.is_nil(decoded(built).model)
    assert.equal("gemini-2.5-flash", given.model)
    given.stream = true
    built = build("gemini", "models.generate_content", given)
    assert.equal("/models/{model}:streamGenerateContent", built.path)
    assert.same({ alt = "sse" }, built.query)
    assert.is_true(built.stream)
    assert.is_nil(decoded(built).stream)
  end)

  it("takes what a path needs out of the request, and says what is missing", function()
    local built = build("twelvelabs", "tasks.retrieve", { id = "t1", verbose = true })
    assert.same({ id = "t1" }, built.fields)
    assert.same({ verbose = true }, built.query)
    raises(keycycle.KeycycleError, "id must be given", build, "twelvelabs", "tasks.retrieve", {})
  end)

  it("may be a table whose metatable is hidden", function()
    local given = setmetatable({}, { __metatable = "hidden" })
    local built = build("openai", "chat.completions.create", given, {}, { default_model = "m" })
    assert.same({ model = "m" }, decoded(built))
  end)

  it("goes as a form with the index of the key that will be used", function()
    local built = build("twelvelabs", "search.query", { query_text = "a cat",
      search_options = { "visual", "audio" } })
    assert.is_nil(built.text)
    local body, kind = built.render(function(name) return name == "index_id" and "idx_2" or nil end)
    assert.truthy(kind:find("multipart/form-data", 1, true))
    assert.truthy(body:find('name="index_id"\r\n\r\nidx_2\r\n', 1, true))
    assert.same({ nil, "index_id" }, { built.render(function() end) })
    assert.equal("search", built.model)
  end)

  it("fills a field that is a key's parameter and nothing else", function()
    local given = { model = "m", input = "{account_id}", note = "my {account_id}" }
    local built = build("cloudflare", "embeddings.create", given)
    local body = built.render(function() return "0123" end)
    assert.same({ model = "m", input = "0123", note = "my {account_id}" },
      keycycle.json.decode(body))
    given = { model = "m", input = "{account_id}" }
    assert.is_nil(build("openai", "embeddings.create", given).render)
  end)

  it("streams what its path always streams", function()
    local built = build("twelvelabs", "analyze_stream", { video_id = "v", prompt = "What?" })
    assert.is_true(built.stream)
    assert.is_true(built.lines)
    assert.is_true(decoded(built).stream)
    assert.is_false(decoded(build("twelvelabs", "analyze", { prompt = "What?" })).stream)
  end)
end)
