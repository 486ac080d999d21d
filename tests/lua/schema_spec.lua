local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local schema = require "keycycle.agent.schema"

local json = keycycle.json

-- The problems of a JSON text's value `{"v": …}` with a schema for v.
local function problems(of_v, text)
  local prepared = schema.prepare({ type = "object", properties = { v = of_v } }, "parameters")
  local value = require "keycycle.core".json.decode('{"v":' .. text .. "}", { null = "absent" })
  return table.concat(schema.problems(prepared, value), "; ")
end

local function whole(given, text)
  local prepared = schema.prepare(given, "parameters")
  local value = require "keycycle.core".json.decode(text, { null = "absent" })
  return table.concat(schema.problems(prepared, value), "; ")
end

describe("a schema", function()
  it("knows every type, and tells whole numbers and lists from others", function()
    local samples = { string = '"x"', number = "1.5", integer = "3", boolean = "false",
      array = "[]", object = "{}" }
    for wanted in pairs(samples) do
      for kind, text in pairs(samples) do
        local ok = kind == wanted or wanted == "number" and kind == "integer"
        local said = problems({ type = wanted }, text)
        assert.equal(ok and "" or ("v must be of type %s, not %s"):format(wanted, text), said)
      end
    end
    assert.equal("", problems({ type = "integer" }, "2.0"))
    assert.equal("", problems({ type = "array" }, "[1,null]"))
    assert.equal("v must be of type array, not {}", problems({ type = "array" }, "{}"))
  end)

  it("takes one of several types", function()
    local either = { type = { "string", "integer" } }
    assert.same({ "", "", "v must be of type string or integer, not true" },
      { problems(either, '"a"'), problems(either, "1"), problems(either, "true") })
  end)

  it("misses what is required, unless it may be null, which is absent when decoded", function()
    local given = { type = "object", required = { "city", "days", "unit", "note", "more" },
      properties = { city = { type = "string" }, days = { type = "integer" },
        unit = { type = { "string", "null" } }, note = { type = "string", nullable = true },
        more = { anyOf = { { type = "integer" }, { type = "null" } } } } }
    assert.equal("city is missing; days is missing", whole(given, "{}"))
    assert.equal("", whole(given, '{"city":"Rome","days":1,"unit":null,"note":null}'))
  end)

  it("takes null in a list where it may stand there", function()
    assert.equal("", problems({ items = { type = "integer", nullable = true } }, "[1,null]"))
    assert.equal("v[1] must be of type integer, not null",
      problems({ items = { type = "integer" } }, "[1,null]"))
  end)

  it("says where it is wrong, however deep", function()
    local given = { type = "object", properties = { stops = { type = "array", items = {
      type = "object", required = { "city" }, properties = { days = { type = "integer" } } } } } }
    assert.equal('stops[1].city is missing; stops[1].days must be of type integer, not "two"',
      whole(given, '{"stops":[{"city":"Rome"},{"days":"two"}]}'))
  end)

  it("refuses other names, or checks them, as additionalProperties says", function()
    local function more(value)
      return whole({ type = "object", properties = { a = {} }, additionalProperties = value },
        '{"a":1,"b":"x"}')
    end
    assert.same({ "", "", "b is not known (known: a)", "b must be of type number, not \"x\"" },
      { more(nil), more(true), more(false), more { type = "number" } })
  end)

  it("knows enum and const, of any depth", function()
    assert.equal('v must be one of ["c","f"], not "k"', problems({ enum = { "c", "f" } }, '"k"'))
    assert.equal("", problems({ enum = { "c", { 1, { a = 2 } } } }, '[1,{"a":2}]'))
    assert.truthy(problems({ enum = { { 1, { a = 2 } } } }, '[1,{"a":2,"b":3}]'):find "must be one")
    assert.equal("v must be 1, not 2", problems({ const = 1 }, "2"))
    assert.equal("", problems({ const = 1 }, "1.0"))
  end)

  it("bounds numbers, texts and lists", function()
    local number = { minimum = 1, maximum = 5, exclusiveMinimum = 0, exclusiveMaximum = 5 }
    assert.equal("", problems(number, "1"))
    assert.equal("v must be above 0, not 0; v must be at least 1, not 0", problems(number, "0"))
    assert.equal("v must be below 5, not 5", problems(number, "5"))
    assert.equal("v must be at most 5, not 6; v must be below 5, not 6", problems(number, "6"))
    local text = { minLength = 2, maxLength = 3 }
    assert.same({ "", "v must have at least 2 characters, not 1",
      "v must have at most 3 characters, not 4" },
      { problems(text, '"äöü"'), problems(text, '"ä"'), problems(text, '"abcd"') })
    local list = { minItems = 1, maxItems = 2 }
    assert.same({ "", "v must have at least 1 items, not 0", "v must have at most 2 items, not 3" },
      { problems(list, "[1]"), problems(list, "[]"), problems(list, "[1,2,3]") })
  end)

  it("knows anyOf, oneOf and allOf", function()
    local parts = { { type = "integer" }, { type = "number", minimum = 10 } }
    assert.equal('v fits nothing of anyOf: v must be of type integer, not 1.5, or v must be at '
      .. 'least 10, not 1.5', problems({ anyOf = parts }, "1.5"))
    assert.same({ "", "", "v must fit one of oneOf, and fits 2" },
      { problems({ anyOf = parts }, "11"), problems({ oneOf = parts }, "1"),
        problems({ oneOf = parts }, "11") })
    assert.equal("v must be at least 10, not 1", problems({ allOf = parts }, "1"))
  end)

  it("ignores what it does not know", function()
    assert.equal("", problems({ type = "string", pattern = "^a$", format = "uuid",
      ["$ref"] = "#/x", title = "T", default = "d" }, '"b"'))
  end)

  it("shows long values shortened, between characters, and not too many problems", function()
    local said = problems({ type = "integer" }, '"' .. ("ä"):rep(500) .. '"')
    assert.truthy(utf8.len(said))
    assert.is_true(#said < 120)
    local many = problems({ items = { type = "string" } }, "[" .. ("1,"):rep(99) .. "1]")
    assert.equal(8, select(2, many:gsub("must be", "")))
  end)

  it("is copied, with empty lists that stay lists", function()
    local given = { type = "object", properties = {}, required = {} }
    local prepared = schema.prepare(given, "parameters")
    assert.same({ "[]", "{}" }, { json.encode(prepared.required), json.encode(given.required) })
    given.properties.x = { type = "string" }
    assert.is_nil(prepared.properties.x)
  end)

  it("may leave out what every tool's has", function()
    local empty = { type = "object", properties = {} }
    for _, given in ipairs { {}, { type = "object" }, { properties = {} } } do
      assert.same(empty, schema.prepare(given, "parameters"))
    end
  end)

  it("whose form is wrong is refused, with the place", function()
    local function refused(word, given)
      raises(keycycle.InvalidConfigurationError, word, schema.prepare, given, "parameters")
    end
    refused("parameters must be a table", "object")
    refused('parameters.type must be "object"', { city = { type = "string" } })
    refused('parameters.type must be "object"', { type = "string" })
    local function inside(word, of_v)
      refused(word, { type = "object", properties = { v = of_v } })
    end
    inside("parameters.properties.v.type is text; a type is one of array, boolean",
      { type = "text" })
    inside("parameters.properties.v must be a schema", "string")
    inside("parameters.properties.v.required must be a list", { required = { a = true } })
    inside("parameters.properties.v.required must be a list of names", { required = { 1 } })
    inside("parameters.properties.v.minimum must be a number", { minimum = "1" })
    inside("parameters.properties.v.anyOf must be a list", { anyOf = { type = "string" } })
    inside("parameters.properties.v.anyOf.2 must be a schema", { anyOf = { {}, "x" } })
    inside("parameters.properties.v.items.type", { items = { type = 1 } })
    inside("parameters cannot be sent", { default = print })
    local cycle = { type = "object" }
    cycle.properties = { v = cycle }
    refused("parameters cannot be sent", cycle)
  end)
end)
