local batch = require "keycycle.command.batch"
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local folder, remove
before_each(function() folder, remove = files.folder() end)
after_each(function() remove() end)

local function put(name, text)
  files.put(folder .. "/" .. name, text)
  return folder .. "/" .. name
end

local function read(name)
  local file <close> = io.open(folder .. "/" .. name, "rb")
  return file:read "a"
end

local function lines_of(job)
  local list = {}
  for n in job:requests() do list[#list + 1] = n end
  return list
end

describe("a job", function()
  it("gives out what has no answer yet, by the number of the line", function()
    local input = put("in", ('{"prompt":"a"}\n\n'):rep(100))
    local output = put("out", '{"line":1,"content":"x"}\n{"line":65,"error":{"code":"c"}}\n'
      .. '{"line":1,"content":"twice"}\n')
    local job <close> = batch.open(input, output)
    assert.same({ 100, 2, 1 }, { job.total, job.done, job.failed })
    local list = lines_of(job)
    assert.equal(98, #list)
    assert.same({ 3, 5 }, { list[1], list[2] })
    for _, n in ipairs(list) do assert.is_true(n ~= 1 and n ~= 65 and n % 2 == 1) end
    assert.truthy(job:failures():find("1 of the lines ended with an error before", 1, true))
  end)

  it("takes no memory for what is done but bits", function()
    local input = put("in", ('{"prompt":"a"}\n'):rep(20000))
    local output = folder .. "/out"
    do
      local file <close> = io.open(output, "w")
      for i = 1, 20000 do
        file:write(('{"line":%d,"content":"%s"}\n'):format(i, ("x"):rep(20)))
      end
    end
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    local job <close> = batch.open(input, output)
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 64)
    assert.same({}, lines_of(job))
  end)

  it("reads requests, and answers what is none with an error", function()
    local input = put("in", table.concat({ '{"prompt":"p","id":"i","top_p":0.5,"model":"m"}',
      '{"messages":[{"role":"system","content":"own"}],"stop":["a"]}', '{"prompt":7}',
      '{"messages":{"a":1},"prompt":"x"}', "{}", '{"messages":["x"]}' }, "\n"))
    local job <close> = batch.open(input, folder .. "/out")
    local found = {}
    for n, request in job:requests "Short" do found[n] = request end
    assert.same({ id = "i", opts = { top_p = 0.5, model = "m" }, messages = {
      { role = "system", content = "Short" }, { role = "user", content = "p" } } }, found[1])
    assert.same({ { role = "system", content = "own" } }, found[2].messages)
    assert.same({ { role = "system", content = "Short" }, "x" }, found[6].messages)
    assert.same({ nil, nil, nil }, { found[3], found[4], found[5] })
    assert.equal(3, job.failed)
    assert.equal(3, select(2, read "out":gsub('"bad_line"', "")))
  end)

  it("writes answers that can be read again", function()
    local input = put("in", ('{"prompt":"a"}\n'):rep(4))
    local job = batch.open(input, folder .. "/out")
    job:answer(2, "id", { content = "a\nb", usage = { total_tokens = 3 }, finish_reason = "stop",
      tool_calls = {} }, 1)
    job:answer(3, nil, { content = "\255" }, 1) -- no JSON can say that
    job:fail(4, { 1 }, { code = "c", message = "odd \255" })
    assert.truthy(job:failures():find("2 of the lines ended with an error; line 3: ", 1, true))
    job:close()
    local list = {}
    for line in read "out":gmatch "[^\n]+" do
      local answer = keycycle.json.decode(line)
      list[answer.line] = answer
    end
    assert.same({ line = 2, id = "id", content = "a\nb", usage = { total_tokens = 3 }, key = 1,
      finish_reason = "stop" }, list[2])
    assert.equal("bad_answer", list[3].error.code)
    assert.same({ line = 4, id = { 1 }, error = { code = "c", message = "odd ?" } }, list[4])
    local again <close> = batch.open(input, folder .. "/out")
    assert.same({ 1 }, lines_of(again))
  end)

  it("is one batch's at a time, and no longer than that", function()
    local input = put("in", '{"prompt":"a"}\n')
    local job = batch.open(input, folder .. "/out")
    raises(keycycle.KeycycleError, "another batch's", batch.open, input, folder .. "/out")
    job:close()
    job:close()
    batch.open(input, folder .. "/out"):close()
    for _ = 1, 3 do -- what fails keeps nothing open
      raises(keycycle.KeycycleError, "nope", batch.open, folder .. "/nope", folder .. "/out")
    end
    batch.open(input, folder .. "/out", true):close()
  end)
end)

describe("an error", function()
  local function err(class, fields) return errors.new(errors[class], fields) end

  it("of a limit is none of a line", function()
    assert.is_true(batch.is_limit(err("NoAvailableKeyError", { code = "limited" })))
    assert.is_true(batch.is_limit(err("RateLimitError", { code = "rate_limited" })))
    assert.is_false(batch.is_limit(err("RateLimitError", { code = "impossible" })))
    assert.is_false(batch.is_limit "text")
  end)

  it("concerns all lines or one", function()
    local own, plain = { opts = { model = "x" } }, { opts = {} }
    for _, case in ipairs { { "InvalidKeyError", { code = "no_key" }, true },
      { "APIError", { code = "invalid_request", status = 400 }, false },
      { "APIError", { code = "server", status = 500 }, false },
      { "TransportError", { code = "connect" }, true },
      { "TransportError", { code = "cut", status = 200 }, false },
      { "TimeoutError", { code = "timeout" }, false }, { "CancelledError", {}, true },
      { "RateLimitError", { code = "impossible" }, false },
      { "KeycycleError", { code = "closed" }, true },
      { "KeycycleError", { code = "bad_request" }, false } } do
      assert.equal(case[3], batch.concerns_all(err(case[1], case[2]), plain), case[1])
    end
    assert.is_true(batch.concerns_all(err("APIError", { code = "not_found" }), plain))
    assert.is_false(batch.concerns_all(err("APIError", { code = "not_found" }), own))
    assert.is_true(batch.concerns_all("a fault of ours", plain))
  end)
end)

describe("a file", function()
  it("can be cut and locked, a closed one cannot", function()
    local path = put("f", "0123456789")
    local file = io.open(path, "ab")
    assert.is_true(core.cut_file(file, 4))
    assert.equal("0123", read "f")
    assert.is_true(core.lock_file(file))
    local other = io.open(path, "ab")
    local ok, why = core.lock_file(other)
    assert.is_nil(ok)
    assert.equal("string", type(why))
    file:close()
    assert.is_true(core.lock_file(other))
    other:close()
    assert.is_false((pcall(core.cut_file, file, 1)))
    assert.is_false((pcall(core.lock_file, {})))
    local full = io.open("/dev/full", "w")
    assert.is_nil((core.cut_file(full, 0)))
    full:close()
  end)
end)
