--- Definitions that are wrong on purpose: each is refused where it is defined, with an error of
--- the library, and nothing of it gets into a request.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local NAN = 0 / 0
local POST = { method = "POST", path = "/x" }

local function with(fields)
  local all = { name = "mine", extends = "openai_compatible", base_url = "https://a.test" }
  for k, v in pairs(fields) do all[k] = v end
  return all
end

local function refused(word, fields)
  raises(keycycle.InvalidConfigurationError, word, keycycle.provider, with(fields))
end

describe("a hostile provider", function()
  it("has a name that is one", function()
    for _, name in ipairs { 5, NAN, true, "", "a\nb", "a\0b", "../../a", "a\\b", ("x"):rep(101) } do
      refused("name", { name = name })
    end
    raises(keycycle.InvalidConfigurationError, "name", keycycle.provider, {})
  end)

  it("has an address that is one", function()
    for _, url in ipairs { "ftp://a.test", "https://", "https:///x", "https://a.test/\r\nx: y",
      "https://a\0.test", "https://a.test\\@b.test", "a.test", "https://a b.test" } do
      refused("base_url", { base_url = url })
    end
  end)

  it("injects no header", function()
    for _, headers in ipairs { { x = "a\r\nauthorization: b" }, { ["x\r\ny"] = "a" },
      { [""] = "a" }, { ["x y"] = "a" }, { ["x:"] = "a" }, { x = "a\0b" }, { x = {} },
      { x = true }, { [1] = "a" }, { x = print } } do
      refused("header", { headers = headers })
    end
    refused("auth", { auth = { header = "x\r\ny", value = "{api_key}" } })
    refused("auth", { auth = { header = "x", value = "{api_key}\r\nx: y" } })
    assert.truthy(keycycle.provider(with { headers = { ["x-one"] = "{model} b", ["x-2"] = 5 } }))
  end)

  it("says neither whose host it is nor where a request ends", function()
    for _, name in ipairs { "host", "Host", "content-length", "Transfer-Encoding", "connection" } do
      refused(name, { headers = { [name] = "1" } })
      refused(name, { auth = { header = name, value = "{api_key}" } })
    end
  end)

  it("has routes that can be called and sent", function()
    for _, name in ipairs { "", ".", "a.", ".a", "a..b", "a b", "a\nb", "1", 1, true, "request",
      ("x"):rep(101) } do
      refused("route", { routes = { [name] = POST } })
    end
    local function route(more)
      more.method, more.path = "POST", "/x"
      return { routes = { x = more } }
    end
    refused("query.a", route { query = { a = {} } })
    refused("query.a", route { query = { a = NAN } })
    refused("query.1", route { query = { 1 } })
    refused("stream_query.a", route { stream_query = { a = print } })
    refused("fill.a", route { fill = { a = print } })
    refused("fill.a.b", route { fill = { a = { b = 1 / 0 } } })
    assert.truthy(keycycle.provider(with(route { fill = { a = { 1, "b", true } } })))
  end)

  it("has protocols that are some", function()
    for _, given in ipairs { "collect", "neutral", "estimate", "answer", "../box", "", 5, print } do
      refused("no protocol", { protocols = { chat = given } })
    end
    -- The list of what is none is complete.
    for _, name in ipairs(require "keycycle.core".builtin_names "keycycle/protocol/") do
      local ok = pcall(keycycle.provider, with { protocols = { chat = name } })
      assert.equal(require("keycycle.protocol." .. name).encode ~= nil, ok, name)
    end
  end)

  it("has paths for usage and estimates", function()
    for _, name in ipairs { "usage", "estimate" } do
      refused(name .. ".total_tokens", { [name] = { total_tokens = 5 } })
      refused(name .. ".total_tokens", { [name] = { total_tokens = print } })
    end
  end)

  it("reads no variable with another's secret as its parameter", function()
    refused("no key", { name = "openai_api", params = { "key" } })
    refused("no key", { env = "OPENAI_API", params = { "key" } })
    refused("no key", { env = "OPENAI_API", params = { key = "default" } })
    refused("no key", { env = "AWS", params = { "secret_access_key" } })
    refused("no key", { name = "github", params = { "token" } })
    refused("no key", { name = "github", params = { "token_1" } })
    -- What it inherits is read by its own name.
    raises(keycycle.InvalidConfigurationError, "no key", keycycle.provider,
      { name = "x_api_key", extends = "cloudflare" })
    assert.truthy(keycycle.provider(with { name = "token factory",
      params = { "account_id", region = "eu" } }))
  end)
end)

describe("a hostile policy", function()
  local function no(word, fields)
    fields.decide = fields.decide or function() end
    raises(keycycle.InvalidConfigurationError, word, keycycle.policy, fields)
  end
  it("is refused", function()
    for _, n in ipairs { NAN, 1e308, math.maxinteger, -1, 1001, 0.5 } do
      no("max_retries", { max_retries = n })
    end
    for _, name in ipairs { 5, "", "a\nb", ("x"):rep(101), "a/b" } do
      no("name", { name = name })
    end
    no("decide", { decide = 5 })
    no("no field", { [1] = 2 })
  end)
end)

describe("a hostile file", function()
  local folder, remove
  before_each(function() folder, remove = files.folder() end)
  after_each(function()
    os.execute("rm -rf " .. folder .. "/*")
    pcall(keycycle.load, folder)
    remove()
  end)

  local function fault(word, kind, text)
    os.execute(("mkdir -p %s/%s"):format(folder, kind))
    do
      local f <close> = assert(io.open(("%s/%s/x.lua"):format(folder, kind), "w"))
      f:write(text)
    end
    local err = raises(keycycle.ScriptError, word, keycycle.load, folder)
    assert.truthy(err.message:find("x.lua", 1, true), err.message)
  end

  it("of a provider is refused whatever its name is", function()
    for _, name in ipairs { "0 / 0", "nil", "false", "{}", "function() end", "5", "'a\\0'" } do
      fault("name", "providers", "return keycycle.provider { name = " .. name .. " }")
    end
  end)

  it("of limits is refused whatever it holds", function()
    for _, value in ipairs { "5", "{ default = 5 }", "{ default = function() end }", "{ [1] = {} }",
      "{ tiers = { a = 5 } }", "{ tiers = { [1] = {} } }",
      "{ default = { requests_per_minute = 0/0 } }",
      "{ default = { requests_per_minute = 1e308 } }",
      "{ default = { windows = { { seconds = 0/0, requests = 1 } } } }",
      "{ default = { day_resets_at = '../../etc/passwd' } }" } do
      fault("x", "limits", "return " .. value)
    end
  end)
end)

describe("hostile rules", function()
  local classify, core = require "keycycle.classify", require "keycycle.core"

  it("cannot match without end", function()
    local fits, left = core.match("xaab", "a-b", 1000)
    assert.is_true(fits)
    assert.is_true(left > 900 and left <= 1000, left)
    assert.is_false((core.match("xaab", "^a-b", 1000)))
    assert.is_true((core.match("", "", 0)))
    for _, pattern in ipairs { "a*a*a*b", "a-a-a-b", ("a?"):rep(20) .. "b" } do
      local ok, why = pcall(core.match, ("a"):rep(1000), pattern, 100000)
      assert.is_false(ok)
      assert.truthy(why:find("too long", 1, true), why)
    end
    assert.is_false(pcall(core.match, "a", "[", 1000))
  end)

  it("share what they may take of one answer", function()
    local values = {}
    for i = 1, 64 do values[i] = { code = ("a"):rep(400) } end
    local body = keycycle.json.encode { errors = values, last = "ab" }
    local function kind(...)
      local rules = { ... }
      for _, rule in ipairs(rules) do rule.kind, rule.status = "quota", 400 end
      return classify.classify({ name = "mine", classify = rules },
        { status = 400, headers = {}, body = body }, 1e9).kind
    end
    local function slow() return { path = "errors[*].code", op = "match", value = "a*a*b" } end
    local function quick() return { path = "last", op = "match", value = "^ab$" } end
    assert.equal("quota", kind(quick()))
    assert.equal("quota", kind(quick(), slow()))
    assert.equal("invalid_request", kind(slow(), { path = "last", op = "equals", value = "b" }))
    local function long()
      local rule = { path = "errors[*].code", op = "contains", value = {} }
      for i = 1, 200 do rule.value[i] = ("a"):rep(i % 50 + 2) .. "b" end
      return rule
    end
    local function short() return { path = "last", op = "contains", value = "ab" } end
    assert.equal("quota", kind(long(), short()))
    assert.equal("invalid_request", kind(long(), long(), short()))
  end)

  it("are no more than anybody needs", function()
    local list = {}
    for i = 1, 201 do list[i] = { status = 400, kind = "quota" } end
    refused("more than 200", { classify = list })
  end)
end)
