--- Where a script may have a key sent: to its provider's own host, whatever it tries.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"

local KEY = "sk-test-0123456789abcdefghij"

local folder, remove

after_each(function()
  remove()
  keycycle.reload()
end)

-- Loads providers, each the inside of its definition.
local function load(...)
  folder, remove = files.scripts {}
  for i, text in ipairs { ... } do
    files.put(("%s/providers/x%d.lua"):format(folder, i), "return keycycle.provider {\n" .. text
      .. " }")
  end
  keycycle.load(folder)
end

local function refused(word, ...)
  local err = raises(keycycle.ScriptError, word, load, ...)
  assert.truthy(err.message:find("x%d%.lua:%d+: "), err.message)
  assert.is_number(err.line)
  assert.equal("https://api.openai.com/v1", provider.get("openai").base_url)
  remove()
end

-- The same of several texts, each of which stands for `%s`.
local function all_refused(word, form, list)
  for _, text in ipairs(list) do refused(word, (form:gsub("%%s", (text:gsub("%%", "%%%%"))))) end
  folder, remove = files.scripts {}
end

describe("a known provider's key", function()
  it("goes to no other host, however that is written", function()
    all_refused("base_url", 'name = "openai", extends = "openai",\nbase_url = "%s"', {
      "https://evil.test/v1", "http://api.openai.com/v1", "https://api.openai.com:8443/v1",
      "https://api.openai.com./v1", "https://api.openai.com.evil.test", "https://xapi.openai.com",
      "https://openai.com", "https://api.openai.com@evil.test/v1",
      "https://evil.test/api.openai.com", "https://evil.test#api.openai.com",
      "https://evil.test?api.openai.com",
      "https://api.openai.com\\\\@evil.test", "https://api.openai.com\\t.evil.test",
      "https://api.openai.com\\n.evil.test", "https://api.openai.com\\0.evil.test",
      "https:/api.openai.com/v1", "https:api.openai.com", "//api.openai.com/v1",
      "https://api%2eopenai.com/v1", "https://\u{430}pi.openai.com/v1",
      "https://api.openai\u{3002}com/v1", "https://xn--pi-7lc.openai.com", "https://[::1]/v1",
      "https://127.0.0.1/v1", "https://{x}/v1", "https://api.openai.com{x}/v1",
      "https://api.openai.com/../v1" })
  end)

  it("goes to its own host, however that is written", function()
    load('name = "openai", extends = "openai",\nbase_url = "HTTPS://API.OpenAI.com:443/v2"')
    assert.equal("HTTPS://API.OpenAI.com:443/v2", provider.get("openai").base_url)
  end)

  it("is its own by any name with the same variables", function()
    all_refused("OPENAI", 'extends = "openai", base_url = "https://evil.test/v1",\n%s', {
      'name = "OpenAI"', 'name = "OPENAI"', 'name = "mine", env = "OPENAI"' })
    all_refused("OPENAI_COMPATIBLE", 'base_url = "https://evil.test/v1", %s', {
      'name = "openai_compatible", extends = "openai_compatible"',
      'name = "openai compatible", extends = "openai_compatible"',
      'name = "mine", env = "OPENAI_COMPATIBLE", extends = "openai_compatible"' })
    -- These have variables of their own: OPENAI__API_KEY and so on.
    load('name = "openai ", extends = "openai", base_url = "https://mine.test/v1"',
      'name = "open.ai", extends = "openai", base_url = "https://mine.test/v1"')
    assert.equal("OPENAI_", provider.env_prefix(provider.get "openai "))
  end)

  it("is its own through any number of scripts", function()
    refused("OPENAI", 'name = "a", extends = "groq", base_url = "https://evil.test"',
      'name = "b", extends = "a"', 'name = "openai", extends = "b"')
    refused("OPENAI", 'name = "a", extends = "openai", base_url = "https://evil.test"',
      'name = "b", extends = "a", env = "OPENAI"')
    refused("GEMINI", 'name = "gemini_openai", extends = "groq"')
    folder, remove = files.scripts {}
  end)

  it("is no other provider's parameter", function()
    all_refused("api_key", 'name = "azure", extends = "openai",\n%s,\n'
      .. 'base_url = "https://evil.test"', { 'params = { "openai_api_key" }',
      'params = { openai_api_key_1 = "x" }' })
    all_refused("another provider's key", 'extends = "openai",\n'
      .. 'base_url = "https://evil.test", %s', {
      'name = "openai_api", params = { "key" }', 'name = "openai_api", params = { "key_1" }',
      'name = "mine", env = "OPENAI_API", params = { "key" }',
      'name = "openai-api", params = { key = "x" }' })
  end)

  it("has no default in its host", function()
    refused("resource", 'name = "azure_openai", extends = "azure_openai",\n'
      .. 'params = { resource = "evil.test/", deployment = "{model}", api_version = "1" }')
    refused("resource", 'name = "mine", env = "AZURE_OPENAI", extends = "azure_openai",\n'
      .. 'base_url = "https://{resource}.openai.azure.com", params = { resource = "evil" }')
    folder, remove = files.scripts {}
  end)

  it("stands in no URL", function()
    refused("logs", 'name = "openai", extends = "openai",\n'
      .. 'auth = { query = "key", value = "{api_key}" }')
    load('name = "mine", extends = "openai", base_url = "https://mine.test",\n'
      .. 'auth = { query = "key", value = "{api_key}" }')
    assert.equal("key", provider.get("mine").auth.query)
  end)
end)

describe("a script", function()
  it("names the key in auth.value and nowhere else", function()
    all_refused("api_key", 'name = "mine", extends = "openai",\nbase_url = "https://m.test", %s', {
      'headers = { ["x-copy"] = "{api_key}" }', 'headers = { ["{api_key}"] = "x" }',
      'params = { token = "{api_key}" }', 'dialect = { chat = { x = "{api_key}" } }',
      'limit_headers = { { unit = "requests", limit = "{api_key}" } }',
      'routes = { x = { method = "GET", path = "/{api_key}" } }',
      'routes = { x = { method = "GET", path = "/", query = { k = "{api_key}" } } }',
      'routes = { x = { method = "GET", path = "/", query = { ["{api_key}"] = "k" } } }',
      'routes = { x = { method = "POST", path = "/", fill = { a = { "{api_key}" } } } }',
      'auth = { header = "authorization", value = "Bearer" }',
      'auth = { header = "authorization", value = "{api_key} {api_key}" }',
      'auth = { header = "authorization", value = "{api_key} {organization}" }' })
    all_refused("api_key", 'name = "mine", extends = "openai",\nbase_url = "https://%s"', {
      "m.test/{api_key}", "{api_key}.m.test" })
  end)

  it("sets no header that says who is asked, or who asks", function()
    all_refused("headers", 'name = "openai", extends = "openai",\nheaders = { %s }', {
      'host = "evil.test"', 'Host = "evil.test"', '["Content-Length"] = "0"',
      '["transfer-encoding"] = "chunked"', 'authorization = "Bearer x"', 'connection = "close"',
      '["x-a"] = "b\\r\\nhost: evil.test"', '["x-a: b\\r\\nhost"] = "evil.test"' })
    refused("X-Goog-Api-Key", 'name = "gemini", extends = "gemini",\n'
      .. 'headers = { ["X-Goog-Api-Key"] = "mine" }')
    refused("another's", 'name = "openai", extends = "openai",\n'
      .. 'auth = { header = "Host", value = "{api_key}" }')
    folder, remove = files.scripts {}
  end)

  it("has no path that leaves its host", function()
    all_refused("path", 'name = "openai", extends = "openai",\n'
      .. 'routes = { x = { method = "GET", path = "%s" } }', { "//evil.test/x", "/\\\\evil.test",
      "/\\\\\\\\evil.test/x", "/..", "/../x", "/%2e%2e/x", "@evil.test", ".evil.test/x",
      ":8443/x", "/x\\r\\nhost: evil.test", "https://evil.test/x" })
    refused("stream_path", 'name = "openai", extends = "openai",\n'
      .. 'routes = { x = { method = "POST", path = "/x", stream_path = "//evil.test" } }')
    folder, remove = files.scripts {}
  end)

  it("moves no provider that has keys already", function()
    local ACME = 'name = "acme", extends = "openai_compatible",\nbase_url = "%s"'
    load(ACME:format "https://api.acme.test/v1")
    local wrapper <close> = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("acme", { keys = { KEY } })
    local function change(text)
      files.put(folder .. "/providers/x1.lua", "return keycycle.provider {\n" .. text .. " }")
      keycycle.reload()
    end
    raises(keycycle.ScriptError, "has keys already", change, ACME:format "https://evil.test/v1")
    change(ACME:format "https://api.acme.test/v2")
    files.put(folder .. "/providers/x2.lua", 'return keycycle.provider { name = "acme2",\n'
      .. 'env = "ACME", extends = "acme", base_url = "https://evil.test" }')
    raises(keycycle.ScriptError, "has keys already", keycycle.reload)
  end)

  it("does not matter where the program itself says where to", function()
    load('name = "acme", extends = "openai_compatible", base_url = "https://api.acme.test"')
    local wrapper <close> = keycycle.MultiClientWrapper.new()
    wrapper:register_provider("acme", { keys = { KEY }, base_url = "http://127.0.0.1:1/v1" })
    files.put(folder .. "/providers/x1.lua", 'return keycycle.provider { name = "acme",\n'
      .. 'extends = "openai_compatible", base_url = "https://other.test" }')
    keycycle.reload()
    assert.equal("https://other.test", provider.get("acme").base_url)
  end)
end)
