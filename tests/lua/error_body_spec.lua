local keycycle = require "keycycle"
local error_body = require "keycycle.refusal.body"

local json = keycycle.json

-- The codes that are found, the innermost first.
local function codes(body)
  local out = {}
  for _, layer in ipairs(error_body.read(body).layers) do
    out[#out + 1] = tostring(layer.error.code)
  end
  return table.concat(out, " ")
end

local function texts(body)
  return table.concat(error_body.read(body).texts, "|")
end

describe("the error in a body", function()
  it("may have any of the usual forms", function()
    for _, body in ipairs { '{"error":{"code":"a","message":"m"}}', '[{"error":{"code":"a"}}]',
      '{"code":"a","message":"m"}', '{"code":"a","error":"m"}', '{"detail":{"code":"a"}}',
      '{"errors":[{"code":"a","message":"m"}],"success":false}', '{"error":[{"code":"a"}]}',
      '{"response":{"status":"failed","error":{"code":"a"}}}',
      '{"choices":[{"error":{"code":"a"}}]}', '{"x_groq":{"error":{"code":"a"}}}',
      '{"fault":{"code":"a"}}', '  {"error":{"code":"a"}}\n' } do
      local found = codes(body)
      assert.is_truthy((" " .. found .. " "):find(" a ", 1, true), body .. " -> " .. found)
    end
  end)

  it("is the same for a table as for its text", function()
    local body = { error = { code = "a", message = "m" } }
    assert.equal("a", codes(body))
    assert.equal("m", texts(body))
    assert.equal("m", texts(json.encode(body)))
  end)

  it("is looked for in texts: in a field, after a prefix, in events, line by line", function()
    local inner = '{"error":{"code":"a","message":"m"}}'
    for _, body in ipairs {
      json.encode { error = { code = "b", message = "x", metadata = { raw = inner } } },
      json.encode { error = { code = "b", message = "Error code: 429 - " .. inner } },
      json.encode { code = "b", message = "Internal error: " .. inner .. "\n at line 1" },
    } do
      assert.equal("a b", codes(body))
    end
    for _, body in ipairs { "429 " .. inner, "event: error\ndata: " .. inner .. "\n\n",
      "data: " .. inner, ": waiting\n\ndata: " .. inner .. "\n\n", "data: {\"id\":1}\n\ndata: "
      .. inner, "litellm.BadRequestError: X - " .. inner, '"Error: \\"" ' .. inner } do
      assert.is_truthy(codes(body):find("a", 1, true), body)
    end
    assert.equal("a nil", codes('{"event_type":"stream_start"}\n{"event_type":"stream_end","error":'
      .. '{"code":"a"}}'):gsub("^a.*", "a nil"))
  end)

  it("is read out of what is not quite JSON", function()
    assert.equal("a", codes "Error code: 429 - {'error': {'message': 'it\\'s', 'code': 'a'}}")
    assert.equal("a", codes '{"error":{"message":"m","code":"a","type":"cut of')
    assert.equal("", codes "{ nothing: here }")
  end)

  it("is not looked for far inside a sentence", function()
    assert.equal("", codes(("x"):rep(300) .. '{"error":{"code":"a"}}'))
  end)
end)

describe("the texts of a body", function()
  it("come from every place that carries one, the outer ones first", function()
    assert.equal("m", texts '{"error":{"message":"m"}}')
    assert.equal("m", texts '{"error":"m"}')
    assert.equal("m", texts '{"detail":"m"}')
    assert.equal("m|n", texts '{"detail":[{"loc":["a"],"msg":"m"},{"msg":"n"}]}')
    assert.equal("m|n", texts '{"error":["m","n"]}')
    assert.equal("d|t", texts '{"status":404,"title":"t","detail":"d"}')
    assert.equal("out|in", texts(json.encode { error = { message = "out",
      metadata = { raw = '{"error":{"message":"in"}}' } } }))
    assert.equal("plain words", texts "plain words")
    assert.equal("a string", texts '"a string"')
    assert.equal("note: x\ndata: y", texts "note: x\ndata: y")
    assert.equal("", texts "")
    assert.equal("", texts "{}")
  end)

  it("are of a page its title, or its words", function()
    assert.equal("502: Bad gateway", texts "<html><head><title>502: Bad gateway</title></head>x")
    assert.is_truthy(texts("<h1>Forbidden</h1>"):find "Forbidden")
  end)

  it("come without the status that a client put before them", function()
    assert.equal("Overloaded.", texts "529 Overloaded.")
    assert.equal("Overloaded.", texts "Error code: 529 - Overloaded.")
    assert.equal("200 things", texts "200 things")
  end)
end)

describe("the status that a body names", function()
  local function status(body) return error_body.read(body).status end

  it("is a number of HTTP that says no", function()
    assert.equal(429, status '{"error":{"code":429}}')
    assert.equal(429, status '{"error":{"code":"429"}}')
    assert.equal(503, status '{"message":"m","statusCode":503}')
    assert.equal(429, status "429 Too Many Requests")
    assert.is_nil(status '{"error":{"code":3040}}')
    assert.is_nil(status '{"error":{"code":200}}')
    assert.is_nil(status "it took 429 tries")
    assert.is_nil(status "")
  end)

  it("is that of the deepest layer", function()
    assert.equal(401, status(json.encode { statusCode = 500, message = "x",
      error = { message = '{"error":{"code":401}}' } }))
  end)
end)

describe("what a provider says in words", function()
  it("is its message, after the words of whoever stands before it", function()
    assert.equal("m", error_body.message '{"error":{"message":"m"}}')
    assert.equal("m", error_body.message { message = "m" })
    assert.equal("Provider returned error: too long", error_body.message(json.encode {
      error = { message = "Provider returned error", metadata = { raw = "too long" } } }))
    assert.is_nil(error_body.message "")
    assert.is_nil(error_body.message "{}")
    assert.is_nil(error_body.message(nil))
    assert.is_nil(error_body.message "\255\254")
  end)

  it("is cut between characters", function()
    local text = error_body.message { error = { message = ("é"):rep(400) } }
    assert.is_truthy(utf8.len(text))
    assert.is_true(#text <= 504 and #text >= 500)
  end)
end)

describe("no body makes it raise", function()
  it("whatever its tables hold", function()
    local circle = { error = { message = "m" } }
    circle.error.error = circle
    circle.detail = { circle, circle }
    local touchy = setmetatable({}, { __index = function() error "no" end })
    for _, body in ipairs { circle, touchy, { error = touchy }, { error = { message = touchy } },
      { [1.5] = 1, [true] = 2, error = { [{}] = 3, code = 0 / 0 } }, { error = { code = {} } },
      { message = { message = { message = {} } } }, { { { { {} } } } }, { error = false },
      { error = { details = 5, metadata = "x" } }, { errors = { 1, "x", {} } },
      { choices = { { error = 5 } } }, { error = function() end }, { error = io.stdout } } do
      local read = error_body.read(body)
      assert.equal("table", type(read.layers))
      error_body.message(body)
    end
    for _, body in ipairs { 5, true, print, io.stdout } do
      assert.same({}, error_body.read(body).layers)
    end
  end)

  it("however deep it is, or long", function()
    local raw, message = '"x"', "boom"
    for _ = 1, 12 do raw = json.encode { error = { message = "m", metadata = { raw = raw } } } end
    for _ = 1, 12 do
      message = "Error code: 429 - " .. json.encode { error = { message = message } }
    end
    local nested = {}
    for _ = 1, 5000 do nested = { error = nested } end
    for _, body in ipairs { raw, message, nested, ("["):rep(100000), ("{"):rep(100000),
      ("<"):rep(100000), (" "):rep(200000), ("data: {\n\n"):rep(20000), ("{\n"):rep(50000),
      ('{"a":1}\n'):rep(20000), ('{"code":"a",'):rep(20000), ("429 "):rep(50000),
      '{"error":{"message":"' .. ("x"):rep(300000) .. '"}}' } do
      local read = error_body.read(body)
      assert.is_true(#read.layers <= 24 and #read.texts <= 24)
    end
  end)
end)
