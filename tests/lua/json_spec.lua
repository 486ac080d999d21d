--- JSON both ways: what a program gets, and what it is told when it cannot.
local keycycle = require "keycycle"
local json = keycycle.json

--- Encodes; a failure gives nil and its message.
local function encode(value)
  local ok, result = pcall(json.encode, value)
  if ok then return result end
  assert.equal("bad_request", result.code)
  return nil, result.message
end

local function decode(text)
  local ok, result = pcall(json.decode, text)
  if ok then return result end
  assert.equal("bad_request", result.code)
  return nil, result.message
end

local function refuses_value(value, words)
  local text, message = encode(value)
  assert.is_nil(text)
  assert.truthy(message:find(words, 1, true), message)
end

local function refuses_text(text, words)
  local value, message = decode(text)
  assert.is_nil(value)
  assert.truthy(message:find(words or "", 1, true), message)
end

describe("json.encode", function()
  it("writes plain values", function()
    assert.equal("true", encode(true))
    assert.equal("false", encode(false))
    assert.equal("null", encode(json.null))
    assert.equal('"a"', encode("a"))
    assert.equal('{"a":[1,"b",{"c":null}]}', encode { a = { 1, "b", { c = json.null } } })
  end)

  it("keeps integers exact to 64 bits", function()
    assert.equal("9007199254740993", encode(9007199254740993))
    assert.equal("9223372036854775807", encode(math.maxinteger))
    assert.equal("-9223372036854775808", encode(math.mininteger))
  end)

  it("writes the float that reads back the same", function()
    assert.equal("0.1", encode(0.1))
    assert.equal("-2.5", encode(-2.5))
    for _, x in ipairs { 1 / 3, 0.1 + 0.2, 1e300, 5e-324, 123456789.123456789, 2 ^ 70 } do
      assert.equal(x, tonumber(encode(x)))
    end
  end)

  it("escapes what JSON must not hold as it is", function()
    assert.equal([["\"\\\n\r\t\u0000\u0001\u007f"]], encode('"\\\n\r\t\0\1\127'))
    assert.equal('"grüße €😀/"', encode("grüße €😀/"))
  end)

  it("tells an empty list from an empty object by its mark", function()
    assert.equal("{}", encode {})
    assert.equal("[]", encode(json.array {}))
    assert.equal("[]", encode(json.array()))
    assert.equal("[1,2]", encode(json.array { 1, 2 }))
    assert.equal('{"stop":[]}', encode { stop = json.array {} })
  end)

  it("refuses numbers that are not finite", function()
    refuses_value(0 / 0, "not finite")
    refuses_value({ temperature = math.huge }, "temperature: a number that is not finite")
  end)

  it("names the place of what it refuses", function()
    refuses_value({ messages = { { content = "a" }, { content = "\xff" } } },
      "messages[2].content: invalid UTF-8")
    refuses_value({ { { a = print } } }, "[1][1].a: a function")
    refuses_value({ tools = { { [1] = 1, name = "x" } } }, "tools[1]")
    refuses_value({ a = { 1, nil, 3 } }, "a: ")
    refuses_value({ a = { [2.5] = 1 } }, "a: ")
    refuses_value({ a = { [true] = 1 } }, "a: ")
    refuses_value({ a = io.stdout }, "a: a ")
    refuses_value({ ["\xff"] = 1 }, "invalid UTF-8")
  end)

  it("refuses surrogates and long forms, which are not UTF-8", function()
    for _, bad in ipairs { "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80" } do
      refuses_value(bad, "invalid UTF-8")
    end
  end)

  it("refuses a table that contains itself, not one used twice", function()
    local loop = {}
    loop.inner = { loop }
    refuses_value(loop, "inner[1]")
    local shared = { 1 }
    assert.equal("[[1],[1]]", encode { shared, shared })
  end)

  it("refuses what is nested too deep", function()
    local deep = {}
    for _ = 1, 511 do deep = { deep } end
    assert.truthy(encode(deep))
    refuses_value({ deep }, "nested too deep")
    local text = ("["):rep(512) .. ("]"):rep(512)
    assert.equal(text, encode(keycycle.json.decode(text)))
  end)
end)

describe("json.decode", function()
  it("reads plain values", function()
    local value = decode ' {"a" : [1, 2.5e0, "x", true, false]}\n'
    assert.same({ a = { 1, 2.5, "x", true, false } }, value)
    assert.equal("x", decode '"x"')
    assert.equal(false, decode "false")
  end)

  it("keeps null, in lists and in objects", function()
    local value = decode '{"a":null,"b":[null,1]}'
    assert.equal(json.null, value.a)
    assert.equal(json.null, value.b[1])
    assert.equal(2, #value.b)
    assert.equal("null", tostring(json.null))
    assert.equal(json.null, decode "null")
  end)

  it("gives integers up to 2^53 and floats beyond", function()
    assert.equal("integer", math.type(decode "9007199254740992"))
    assert.equal("integer", math.type(decode "-7"))
    assert.equal("float", math.type(decode "1e300"))
    assert.equal("float", math.type(decode "0.5"))
  end)

  it("reads a number of any length", function()
    assert.equal(0.1, decode("0.1" .. ("0"):rep(100)))
    assert.equal(1e99, decode("1" .. ("0"):rep(99)))
    assert.same({ 1, 0.25 }, decode("[1,0.25" .. ("0"):rep(80) .. "]"))
  end)

  it("lets lists stay lists, empty ones too", function()
    assert.equal('{"a":[]}', encode(decode '{"a":[]}'))
    assert.equal('{"a":{}}', encode(decode '{"a":{}}'))
    assert.equal("[[],{}]", encode(decode "[[],{}]"))
  end)

  it("reads escapes and pairs of surrogates", function()
    assert.equal('"\\/\b\f\n\r\té😀', decode [["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"]])
  end)

  it("puts U+FFFD for a lone surrogate and for what is not UTF-8", function()
    assert.equal("a\u{FFFD}b", decode [["a\ud83db"]])
    assert.equal("\u{FFFD}\u{FFFD}", decode [["\ude00\ud83d"]])
    assert.equal("\u{FFFD}A", decode [["\ud83d\u0041"]])
    assert.equal("a\u{FFFD}b", decode '"a\xffb"')
  end)

  it("skips a byte order mark", function()
    assert.same({ 1 }, decode "\xef\xbb\xbf[1]")
  end)

  it("refuses a NUL, escaped or raw", function()
    refuses_text([["a\u0000b"]], "\\u0000")
    refuses_text('"a\0b"', "control character")
    refuses_text("[1]\0", "control character")
  end)

  it("refuses raw control characters in a string", function()
    refuses_text('"a\nb"', "control character")
    refuses_text('"a\tb"', "control character")
  end)

  it("refuses numbers that JSON does not know", function()
    for _, text in ipairs {
      "01", "[01]", "-", "1.", "1.e5", "1e", ".5", "+1", "-a", "0x10", "NaN",
    } do
      refuses_text(text)
    end
    refuses_text("1e999", "too large")
    refuses_text("[-1e999]", "too large")
  end)

  it("refuses what is cut, follows, or was never JSON", function()
    for _, text in ipairs {
      "", " ", "{", "[1,", "[1,]", '{"a":1,}', '{"a"}', "{a:1}", "'a'", '"a', '"a\\',
      '"\\u12', '"\\x"', "nullx", "[1] x", "{} {}", "tru", "]", "data: {}", "<html>",
    } do
      refuses_text(text)
    end
  end)

  it("refuses what is nested too deep", function()
    assert.truthy(decode(("["):rep(512) .. ("]"):rep(512)))
    refuses_text(("["):rep(600) .. ("]"):rep(600))
    refuses_text(('{"a":'):rep(100000))
  end)

  it("gives back what it wrote", function()
    local value = {
      s = "ü\"\\\n\u{10FFFF}", n = { 0, -1, 0.1, 1e21, 2 ^ 53 },
      e = json.array {}, o = {}, b = false,
    }
    assert.same(value, decode(encode(value)))
  end)
end)
