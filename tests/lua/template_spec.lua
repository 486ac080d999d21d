local template = require "keycycle.call.template"

local values = { account_id = "ab/c?d", model = "org/model:free", resource = "evil.test/",
  deployment = "{model}", loop = "{loop}", n = 7 }
local function value_of(name) return values[name] end

describe("a template", function()
  it("is filled by name, and left alone where there is none", function()
    assert.equal("7 and 7", (template.text("{n} and {n}", value_of)))
    assert.equal("plain", (template.text("plain", value_of)))
    assert.equal("{ n } {N} {}", (template.text("{ n } {N} {}", value_of)))
  end)

  it("names the first value that is missing", function()
    local text, missing = template.text("{a}{n}{b}", value_of)
    assert.equal("{a}7{b}", text)
    assert.equal("a", missing)
    assert.is_nil(select(2, template.text("{n}", value_of)))
  end)

  it("never fills in the key", function()
    local text, missing = template.text("{api_key}", function() return "sk-secret" end)
    assert.equal("{api_key}", text)
    assert.is_nil(missing)
    assert.same({ "a" }, template.names "{api_key}{a}")
  end)

  it("keeps what is filled into a host in its place", function()
    assert.equal("https://evil.test%2F.maker.test/v1",
      (template.base("https://{resource}.maker.test/v1", value_of)))
  end)

  it("keeps the slashes of a model's name in a path, and escapes the rest", function()
    assert.equal("/models/org/model:free/run", (template.path("/models/{model}/run", value_of)))
    assert.equal("/accounts/ab/c%3Fd", (template.path("/accounts/{account_id}", value_of)))
  end)

  it("knows the paths that it makes", function()
    assert.is_true(template.fits("/models/{model}:run", "/models/org/model-1.5:run"))
    assert.is_false(template.fits("/models/{model}:run", "/models/:run"))
    assert.is_false(template.fits("/models/{model}:run", "/models/m:run?x"))
    assert.is_false(template.fits("/v1.3/analyze", "/v1x3/analyze"))
    assert.equal("/models/:run", template.bare "/models/{model}:run")
  end)

  it("lets a default name another value, but not for ever", function()
    assert.equal("/d/org/model:free", (template.path("/d/{deployment}", value_of)))
    assert.equal("{loop}", (template.text("{loop}", value_of)))
  end)
end)
