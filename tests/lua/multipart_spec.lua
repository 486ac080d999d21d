local keycycle = require "keycycle"
local multipart = require "keycycle.call.multipart"
local raises = require "tests.support.raises"

local function parts(fields) return multipart.parts(fields, keycycle.json.encode) end

local function file_with(text)
  local path = os.tmpname()
  local f <close> = assert(io.open(path, "wb"))
  f:write(text)
  return path
end

describe("a form", function()
  it("has its fields in order, lists repeated, tables as JSON", function()
    local list = parts { b = "x", a = 1, options = { "visual", "audio" }, filter = { k = true } }
    local seen = {}
    for i, part in ipairs(list) do seen[i] = part.name .. "=" .. part.data end
    assert.same({ "a=1", "b=x", 'filter={"k":true}', "options=visual", "options=audio" }, seen)
    assert.equal("application/json", list[3].content_type)
  end)

  it("reads a file from its path, whatever bytes it holds", function()
    local bytes = "RIFF\0\r\n--x\255"
    local path = file_with(bytes)
    local list = parts { file = path }
    os.remove(path)
    assert.equal(bytes, list[1].data)
    assert.equal(path:match "[^/]*$", list[1].filename)
  end)

  it("takes no other name for a file, and no device for one without end", function()
    assert.same({ { name = "profile", data = "me" } }, parts { profile = "me" })
    assert.equal("", parts({ file = "/dev/zero" })[1].data)
  end)

  it("takes a file's bytes from memory", function()
    local list = parts { file = { data = "abc", filename = "a.wav", content_type = "audio/wav" } }
    assert.same({ name = "file", data = "abc", filename = "a.wav", content_type = "audio/wav" },
      list[1])
  end)

  it("refuses what cannot be sent before anything is", function()
    local class = keycycle.KeycycleError
    local err = raises(class, "/no/such/file", parts, { file = "/no/such/file" })
    assert.equal("bad_request", err.code)
    raises(class, "file", parts, { file = 5 })
    raises(class, "x must be", parts, { x = print })
    raises(class, "no field", parts, { "a" })
    raises(class, "filename", parts, { file = { data = "x", filename = 5 } })
    raises(class, "content_type", parts, { file = { data = "x", content_type = {} } })
    raises(class, "path", parts, { file = { data = "x", path = 5 } })
    raises(class, "thread", parts, { x = coroutine.create(print) })
  end)

  it("is written with a boundary that none of its parts holds", function()
    local list = parts { a = "1", file = { data = "two", filename = 'q"\r\n' } }
    local body, kind = multipart.body(list)
    local boundary = kind:match "^multipart/form%-data; boundary=(%S+)$"
    assert.equal(table.concat({
      "--" .. boundary, 'Content-Disposition: form-data; name="a"', "", "1",
      "--" .. boundary,
      'Content-Disposition: form-data; name="file"; filename="q%22%0D%0A"',
      "Content-Type: application/octet-stream", "", "two", "--" .. boundary .. "--", "",
    }, "\r\n"), body)
  end)
end)
