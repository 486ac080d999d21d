local keycycle = require "keycycle"
local error_body = require "keycycle.refusal.body"
local rules = require "keycycle.refusal.rules"

local function seen(status, body, headers)
  local read = error_body.read(body)
  return { status = status, headers = headers or {}, layers = read.layers, texts = read.texts }
end

local function fits(rule, status, body, headers)
  rule.kind = rule.kind or "quota"
  return rules.fits(rules.check({ rule }, "p")[1], seen(status, body, headers))
end

describe("a rule of a status", function()
  it("fits that one, or any of a list", function()
    assert.is_true(fits({ status = 429 }, 429, ""))
    assert.is_false(fits({ status = 429 }, 428, ""))
    assert.is_true(fits({ status = { 400, 403 } }, 403, ""))
    assert.is_false(fits({ status = { 400, 403 } }, 401, ""))
  end)

  it("needs its path too", function()
    assert.is_true(fits({ status = 429, path = "error.code", value = "a" }, 429,
      '{"error":{"code":"a"}}'))
    assert.is_false(fits({ status = 429, path = "error.code", value = "a" }, 400,
      '{"error":{"code":"a"}}'))
    assert.is_false(fits({ status = 429, path = "error.code", value = "a" }, 429,
      '{"error":{"code":"b"}}'))
  end)

  it("goes by its path alone where no status says no, and not at all without one", function()
    assert.is_true(fits({ status = 429, path = "error.code", value = "a" }, nil,
      '{"error":{"code":"a"}}'))
    assert.is_false(fits({ status = 429 }, nil, '{"error":{"code":"a"}}'))
  end)
end)

describe("a path", function()
  local body = '{"error":{"code":7,"list":[{"a":"x"},{"a":"y","b":[1,2]}]},"top":true}'

  it("names a field, an element, any element", function()
    assert.is_true(fits({ path = "error.code", value = 7 }, 400, body))
    assert.is_true(fits({ path = "top", value = true }, 400, body))
    assert.is_true(fits({ path = "error.list[1].a", value = "x" }, 400, body))
    assert.is_false(fits({ path = "error.list[1].a", value = "y" }, 400, body))
    assert.is_true(fits({ path = "error.list[*].a", value = "y" }, 400, body))
    assert.is_true(fits({ path = "error.list[*].b[*]", value = 2 }, 400, body))
    assert.is_false(fits({ path = "error.list[*].c", value = 2 }, 400, body))
    assert.is_false(fits({ path = "error.code.deeper", value = 7 }, 400, body))
  end)

  it("finds the code of a flat body as well, and of a wrapped one", function()
    assert.is_true(fits({ path = "error.code", value = "a" }, 400, '{"code":"a","message":"m"}'))
    assert.is_true(fits({ path = "code", value = "a" }, 400, '{"error":{"code":"a"}}'))
    assert.is_true(fits({ path = "error.code", value = "a" }, 400, '{"code":"a","error":"text"}'))
  end)

  it("names a header, whose name has no case", function()
    assert.is_true(fits({ path = "header:X-Left", op = "lte", value = 0 }, 429, "",
      { ["x-left"] = "0" }))
    assert.is_false(fits({ path = "header:X-Left", op = "lte", value = 0 }, 429, "",
      { ["x-left"] = "1" }))
    assert.is_false(fits({ path = "header:X-Left", op = "exists" }, 429, ""))
  end)

  it("names any text, of any layer and of a body that is nothing else", function()
    for _, path in ipairs { "*", "message", "error.message" } do
      local rule = { path = path, op = "contains", value = "Too Long" }
      assert.is_true(fits(rule, 400, "it is too long"))
      assert.is_true(fits(rule, 400, '{"error":{"message":"it is too long"}}'))
      assert.is_true(fits(rule, 400, '{"error":{"message":"m","metadata":{"raw":"too long"}}}'))
      assert.is_true(fits(rule, 400, '{"detail":[{"msg":"too long"}]}'))
      assert.is_false(fits(rule, 400, '{"error":{"message":"short","hint":"too long"}}'))
    end
  end)

  it("may be one of a list", function()
    local rule = { path = { "error.code", "error.type" }, value = "a" }
    assert.is_true(fits(rule, 400, '{"error":{"code":"a"}}'))
    assert.is_true(fits(rule, 400, '{"error":{"type":"a"}}'))
    assert.is_false(fits(rule, 400, '{"error":{"status":"a"}}'))
  end)
end)

describe("an op", function()
  local function code(op, value, have)
    return fits({ path = "error.code", op = op, value = value }, 400, { error = { code = have } })
  end

  it("equals compares without case, and numbers with their texts", function()
    assert.is_true(code(nil, "Abc", "aBC"))
    assert.is_true(code("equals", 429, "429"))
    assert.is_true(code("equals", "429", 429))
    assert.is_true(code("equals", 429, 429.0))
    assert.is_false(code("equals", "a", "ab"))
    assert.is_false(code("equals", "a", {}))
    assert.is_false(code("equals", "nan", 0 / 0))
  end)

  it("prefix and contains take a text, or a list of them", function()
    assert.is_true(code("prefix", "ab", "ABc"))
    assert.is_false(code("prefix", "b", "abc"))
    assert.is_true(code("contains", "B", "abc"))
    assert.is_true(code("contains", { "x", "c" }, "abc"))
    assert.is_true(code("prefix", { "x", "a" }, "abc"))
    assert.is_false(code("contains", { "x", "y" }, "abc"))
    assert.is_true(code("contains", "%d", "a%d"), "no pattern")
  end)

  it("in takes a list", function()
    assert.is_true(code("in", { 3036, "B" }, 3036))
    assert.is_true(code("in", { 3036, "B" }, "b"))
    assert.is_false(code("in", { 3036, "B" }, "c"))
  end)

  it("exists is true of whatever is there", function()
    assert.is_true(code("exists", nil, {}))
    assert.is_true(code("exists", nil, false))
    assert.is_false(code("exists", nil, nil))
  end)

  it("lte compares numbers", function()
    assert.is_true(code("lte", 0, "-1"))
    assert.is_true(code("lte", 0, 0))
    assert.is_false(code("lte", 0, 1))
    assert.is_false(code("lte", 0, "few"))
  end)

  it("match is a pattern of Lua", function()
    assert.is_true(code("match", "^a%d+$", "a12"))
    assert.is_false(code("match", "^a%d+$", "A12"))
    assert.is_true(code("match", "[^]]b", "ab"))
    assert.is_false(code("match", "b$", ("a"):rep(2000) .. "b"), "in the first bytes only")
    assert.is_false(code("match", "a*b*c", ("a"):rep(400) .. "c" .. "d"), "in fewer, for two")
  end)
end)

describe("a rule that is wrong", function()
  local function why(rule, at)
    local list = {}
    for i = 1, (at or 1) - 1 do list[i] = { status = 400 + i, kind = "auth" } end
    list[#list + 1] = rule
    local ok, err = pcall(keycycle.provider, { name = "acme", classify = list })
    assert.is_false(ok)
    assert.is_true(keycycle.is(err, keycycle.InvalidConfigurationError), tostring(err))
    return err.message
  end

  it("is refused with the provider's name and its number", function()
    local message = why({ status = 429, kind = "quotas" }, 3)
    assert.is_truthy(message:find("provider acme", 1, true))
    assert.is_truthy(message:find("rule 3", 1, true))
    assert.is_truthy(message:find("quotas", 1, true))
  end)

  it("is refused for each of its parts", function()
    local faults = {
      ["no table"] = 5, ["no field \"stauts\""] = { stauts = 429, kind = "quota" },
      ["kind"] = { status = 429 }, ["scope"] = { status = 429, kind = "quota", scope = "all" },
      ["window"] = { status = 429, kind = "quota", window = "week" },
      ["status or a path"] = { kind = "quota" },
      ["status or a list"] = { status = "429", kind = "quota" },
      ["path"] = { path = "a[b]", kind = "quota", value = 1 },
      ["op: like"] = { path = "a", op = "like", value = 1, kind = "quota" },
      ["no path"] = { status = 429, op = "exists", kind = "quota" },
      ["value of equals"] = { path = "a", kind = "quota" },
      ["value of in"] = { path = "a", op = "in", value = "b", kind = "quota" },
      ["value of lte"] = { path = "a", op = "lte", value = "0", kind = "quota" },
      ["value of contains"] = { path = "a", op = "contains", value = {}, kind = "quota" },
      ["delay"] = { status = 429, delay = "a..b", kind = "quota" },
      ["time zone"] = { status = 429, kind = "quota", window = "day", resets = "Moon" },
      ["needs window"] = { status = 429, kind = "quota", window = "minute", resets = "UTC" },
    }
    for part, rule in pairs(faults) do
      local message = why(rule)
      assert.is_truthy(message:find(part, 1, true), part .. " / " .. message)
    end
  end)

  it("is refused for values that are no single ones, and empty texts", function()
    why { path = "a", op = "contains", value = "", kind = "quota" }
    why { path = "a", op = "in", value = { {} }, kind = "quota" }
    why { path = "a", value = {}, kind = "quota" }
    why { path = {}, value = "a", kind = "quota" }
    why { status = {}, kind = "quota" }
    why { status = 42, kind = "quota" }
    why { kind = {}, status = 400 }
  end)

  it("is refused for a pattern that is malformed or could run long", function()
    for _, pattern in ipairs { "a[", "%", "(a", "a)", "%1", "%b(", "%fa", ".*.*.*", ".-a.-b.-c",
      "a?b?c?d?e?", ("a"):rep(101), "%b()%b()%b()", 5, "()%1" } do
      why { path = "a", op = "match", value = pattern, kind = "quota" }
    end
  end)

  it("is refused in a list that has other fields, or a function in its middle", function()
    local function refused(list)
      local ok, err = pcall(keycycle.provider, { name = "acme", classify = list })
      assert.is_false(ok)
      assert.is_true(keycycle.is(err, keycycle.InvalidConfigurationError))
    end
    refused { { status = 429, kind = "quota" }, extra = 1 }
    refused { { status = 429, kind = "quota" }, [3] = { status = 429, kind = "quota" } }
    refused { { status = 429, kind = "quota" }, function() end }
  end)
end)

describe("a pattern", function()
  it("of every kind of item is allowed", function()
    for _, pattern in ipairs { "^a.b$", "%a+ %d+", "[%]a-z]+", "[]]", "[^]]", "%b()", "%f[%w]x",
      "(a)(b)", "a?b?c?d?", "x%-", "%%" } do
      rules.check({ { path = "a", op = "match", value = pattern, kind = "quota" } }, "p")
    end
  end)
end)

describe("the rules of all built-in providers", function()
  it("are well-formed", function()
    local provider = require "keycycle.provider"
    for _, name in ipairs(provider.names()) do
      local definition = provider.get(name)
      assert.equal("table", type(rules.check(definition.classify, name)), name)
    end
  end)
end)
