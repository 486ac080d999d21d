--- keycycle batch: answers once for each line, whatever ends it in between.
local keycycle = require "keycycle"
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local json = keycycle.json
local build = servers.path()

local folder, remove
before_each(function() folder, remove = files.folder() end)
after_each(function() remove() end)

local KEYS = "NUM_OPENAI=3 OPENAI_API_KEY_1=sk-mock-0123456789abcdef-1 "
  .. "OPENAI_API_KEY_2=sk-mock-0123456789abcdef-2 OPENAI_API_KEY_3=sk-mock-0123456789abcdef-3 "
local MOCK_KEYS = "--keys sk-mock-0123456789abcdef-1,sk-mock-0123456789abcdef-2,"
  .. "sk-mock-0123456789abcdef-3 "

local function command(arguments)
  return ("cd %s && exec env -i PATH=\"$PATH\" HOME=%s TERM=xterm %s %s/keycycle batch %s")
    :format(folder, folder, KEYS, build, arguments)
end

-- What it prints, both streams, and how it ends.
local function run(arguments)
  local pipe <close> = assert(io.popen(("(%s) 2>&1; echo \"rc=$?\""):format(command(arguments))))
  local text, rc = pipe:read "a":match "^(.-)rc=(%d+)\n$"
  assert.is_nil(text:find("0123456789", 1, true), text)
  assert.is_nil(text:find("traceback", 1, true), text)
  return text, tonumber(rc)
end

local function read(name)
  local file = io.open(folder .. "/" .. name, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

local function put(name, text) files.put(folder .. "/" .. name, text) end

-- A line each: "question 1" and so on.
local function questions(n, name)
  local lines = {}
  for i = 1, n do lines[i] = ('{"prompt":"question %d","id":"q%d"}\n'):format(i, i) end
  put(name or "in.jsonl", table.concat(lines))
end

-- What the output answers, by line; each line must be there once.
local function answers(name)
  local by_line, count = {}, 0
  for line in read(name or "out.jsonl"):gmatch "([^\n]*)\n" do
    local answer = json.decode(line)
    assert.is_nil(by_line[answer.line], "twice: " .. line)
    by_line[answer.line], count = answer, count + 1
  end
  return by_line, count
end

local function question_in(body)
  return math.tointeger(tonumber(body:match "question (%d+)"))
end

-- Starts it, kills it with SIGKILL as soon as `when()`, and sees it gone; false: it had
-- ended by itself.
local function run_and_kill(arguments, when)
  local pipe <close> = assert(io.popen(("echo $$; %s 2>&1"):format(command(arguments))))
  local pid = pipe:read "l"
  local alive = true
  while alive and not when() do
    local file <close> = io.open("/proc/" .. pid .. "/stat")
    alive = not file:read "a":find(") Z", 1, true)
    keycycle.sleep(0.001)
  end
  os.execute("kill -9 " .. pid)
  pipe:read "a"
  return alive
end

local function lines_in(text)
  return select(2, text:gsub("\n", "\n"))
end

describe("keycycle batch", function()
  local mock
  setup(function() mock = servers.mock(MOCK_KEYS .. "--journal-bodies") end)
  teardown(function() mock.stop() end)
  before_each(function()
    keycycle.http.request { method = "POST", url = mock.root .. "/journal/reset", body = "" }
  end)

  local function journal()
    return json.decode(keycycle.http.request { url = mock.root .. "/journal" }.body)
  end

  it("answers each line, several at a time, with all keys", function()
    questions(20)
    local text, rc = run("in.jsonl out.jsonl --base-url " .. mock.url)
    assert.equal(0, rc, text)
    assert.truthy(text:find("20 of 20", 1, true), text)
    local by_line, count = answers()
    assert.equal(20, count)
    local served = {}
    for i = 1, 20 do
      local answer = by_line[i]
      assert.equal("q" .. i, answer.id)
      assert.equal("You said: question " .. i, answer.content)
      assert.equal("stop", answer.finish_reason)
      assert.equal(answer.usage.input_tokens + answer.usage.output_tokens,
        answer.usage.total_tokens)
      served[answer.key] = true
    end
    assert.same({ true, true, true }, served)
    local keys = journal().keys
    assert.equal(20, keys[1].requests + keys[2].requests + keys[3].requests)
  end)

  it("takes messages, and what a request says beside them", function()
    put("in.jsonl", table.concat({
      '{"messages":[{"role":"system","content":"own"},{"role":"user","content":"A"}],"id":7}',
      '{"prompt":"B","temperature":0.5,"max_tokens":9,"model":"gpt-4o","id":null}',
      "  ", '{"messages":[{"role":"user","content":"C"}]}\r' }, "\n"))
    local text, rc = run("in.jsonl out.jsonl --system Short --model gpt-4o-mini --base-url "
      .. mock.url)
    assert.equal(0, rc, text)
    local by_line, count = answers()
    assert.equal(3, count)
    assert.equal(7, by_line[1].id)
    assert.is_nil(by_line[2].id)
    local asked = {}
    for _, entry in ipairs(journal().requests) do
      local body = type(entry.body) == "string" and json.decode(entry.body) or entry.body
      asked[body.messages[#body.messages].content] = body
    end
    assert.equal("own", asked.A.messages[1].content)
    assert.equal("Short", asked.B.messages[1].content)
    assert.equal(0.5, asked.B.temperature)
    assert.equal("gpt-4o", asked.B.model)
    assert.equal("gpt-4o-mini", asked.C.model)
    assert.equal("Short", asked.C.messages[1].content)
  end)

  it("reads standard input and writes standard output", function()
    questions(3)
    local text, rc = run("- - --base-url " .. mock.url .. " <in.jsonl 2>/dev/null")
    assert.equal(0, rc, text)
    put("out.jsonl", text)
    assert.equal(3, (select(2, answers())))
    local pipe = assert(io.popen(("(cat %s/in.jsonl | (%s)) 2>&1"):format(folder,
      command("- piped.jsonl --base-url " .. mock.url))))
    text = pipe:read "a"
    assert.is_true(pipe:close())
    assert.truthy(text:find("3 done", 1, true), text)
    assert.equal(3, (select(2, answers "piped.jsonl")))
  end)

  it("names the lines that it cannot read, and goes on", function()
    put("in.jsonl", '{"prompt":"ok"}\n{"prompt":\n[1]\n{"prompt":"a","messages":[]}\n'
      .. '{"prompt":"x","propmt":"y","id":"z"}\n{"prompt":"mock:status=400","id":3}\n7\n'
      .. '{"prompt":"x","model":5}\n')
    local text, rc = run("in.jsonl out.jsonl --base-url " .. mock.url)
    assert.equal(1, rc, text)
    assert.truthy(text:find("7 of the lines ended with an error; line 2: ", 1, true), text)
    local by_line, count = answers()
    assert.equal(8, count)
    assert.equal("You said: ok", by_line[1].content)
    for _, n in ipairs { 2, 3, 4, 5, 7, 8 } do assert.equal("bad_line", by_line[n].error.code) end
    assert.truthy(by_line[5].error.message:find("propmt", 1, true))
    assert.equal("z", by_line[5].id)
    assert.equal("invalid_request", by_line[6].error.code)
    assert.equal(3, by_line[6].id)
  end)

  it("asks lines with errors again when it is told to, and only these", function()
    put("in.jsonl", '{"prompt":"question 1"}\n{"prompt":"question"\n{"prompt":"question 3"}\n')
    assert.equal(1, (select(2, run("in.jsonl out.jsonl --base-url " .. mock.url))))
    local text, rc = run("in.jsonl out.jsonl --base-url " .. mock.url)
    assert.equal(1, rc)
    assert.truthy(text:find("--retry-errors", 1, true), text)
    assert.equal(2, #journal().requests)
    put("in.jsonl", '{"prompt":"question 1"}\n{"prompt":"question 2"}\n{"prompt":"question 3"}\n')
    text, rc = run("--retry-errors in.jsonl out.jsonl --base-url " .. mock.url)
    assert.equal(0, rc, text)
    local by_line, count = answers()
    assert.equal(3, count)
    assert.equal("You said: question 2", by_line[2].content)
    assert.equal(3, #journal().requests)
    assert.is_nil(io.open(folder .. "/out.jsonl.new"))
  end)

  it("cuts off a torn line, keeps one that lacks only its end, and asks no other again", function()
    questions(4)
    local whole = '{"line":2,"content":"x"}\n{"line":4,"content":"y"}'
    for _, torn in ipairs { "\n", "\n{\"line\":", "", "\n\0\0\0" } do
      put("out.jsonl", whole .. torn)
      keycycle.http.request { method = "POST", url = mock.root .. "/journal/reset", body = "" }
      local text, rc = run("in.jsonl out.jsonl --base-url " .. mock.url)
      assert.equal(0, rc, text)
      local by_line, count = answers()
      assert.equal(4, count)
      assert.equal("x", by_line[2].content)
      assert.equal("y", by_line[4].content)
      assert.equal(2, #journal().requests)
    end
  end)

  it("touches no output that is no batch's, or another input's", function()
    questions(2)
    for text, word in pairs { ["my notes\n"] = "line 1 is no answer", ['{"line":1}\n{"a":1}\n'] =
      "line 2 is no answer", ['{"line":9,"content":""}\n{"li'] = "has 2 lines" } do
      put("out.jsonl", text)
      for _, option in ipairs { "", "--retry-errors " } do
        local out, rc = run(option .. "in.jsonl out.jsonl --base-url " .. mock.url)
        assert.equal(1, rc, out)
        assert.truthy(out:find(word, 1, true), out)
        assert.equal(text, read "out.jsonl")
      end
    end
    assert.equal(0, #journal().requests)
  end)

  it("says what cannot be read or written", function()
    questions(2)
    put("folder/x", "")
    for arguments, word in pairs { ["nope.jsonl out.jsonl"] = "nope.jsonl",
      ["folder out.jsonl"] = "folder", ["in.jsonl folder"] = "folder",
      ["in.jsonl /dev/full"] = "the answer to line" } do
      local out, rc = run(arguments .. " --base-url " .. mock.url)
      assert.equal(1, rc, out)
      assert.truthy(out:find(word, 1, true), out)
    end
  end)
end)

describe("keycycle batch, when it is killed,", function()
  it("has asked no line again that is in the output, wherever it was stopped", function()
    questions(30)
    local mock = servers.mock(MOCK_KEYS .. "--journal-bodies --latency 2")
    finally(mock.stop)
    local function asked()
      local body = keycycle.http.request { url = mock.root .. "/journal" }.body
      local times = {}
      for _, entry in ipairs(json.decode(body).requests) do
        local n = question_in(json.encode(entry.body))
        times[n] = (times[n] or 0) + 1
      end
      return times
    end
    local killed = 0
    local arguments = "in.jsonl out.jsonl --jobs 3 --base-url " .. mock.url
    for _, at in ipairs { 1, 2, 5, 9, 14, 20, 26, 29 } do
      killed = killed + (run_and_kill(arguments, function()
        return lines_in(read "out.jsonl") >= at
      end) and 1 or 0)
      local done = answers()
      put("copy.jsonl", read "out.jsonl")
      keycycle.http.request { method = "POST", url = mock.root .. "/journal/reset", body = "" }
      local text, rc = run("in.jsonl copy.jsonl --base-url " .. mock.url)
      assert.equal(0, rc, text)
      assert.equal(30, (select(2, answers "copy.jsonl")))
      local times = asked()
      for n = 1, 30 do
        local again = times[n] or 0
        -- What was under way when it was killed may have reached the mock later.
        assert.is_true(again == (done[n] and 0 or 1) or again == 2 and not done[n], "line " .. n)
      end
    end
    assert.is_true(killed > 0)
  end)

  it("loses only what was under way, and asks it again", function()
    questions(10)
    local hung = servers.canned [[
      local seen = 0
      return function(request) -- every third is never answered
        local n = request.body:match "question %d+"
        seen = seen + 1
        local text = '{"choices":[{"index":0,"finish_reason":"stop","message":{"role":'
          .. '"assistant","content":"' .. n .. '"}}]}'
        return 200, {}, seen % 3 == 0 and { false } or text
      end]]
    local mock = servers.mock(MOCK_KEYS .. "--journal-bodies")
    finally(function() hung.stop() mock.stop() end)
    assert.is_true(run_and_kill("in.jsonl out.jsonl --jobs 3 --base-url " .. hung.url, function()
      return lines_in(read "out.jsonl") == 6 and #hung.journal() == 9
    end))
    local done = answers()
    local text, rc = run("in.jsonl out.jsonl --base-url " .. mock.url)
    assert.equal(0, rc, text)
    assert.equal(10, (select(2, answers())))
    local again = json.decode(keycycle.http.request { url = mock.root .. "/journal" }.body)
    assert.equal(4, #again.requests)
    for _, entry in ipairs(again.requests) do
      assert.is_nil(done[question_in(json.encode(entry.body))])
    end
  end)

  it("lets no other batch write to the same output meanwhile", function()
    questions(3)
    local hung = servers.canned "return function() return 200, {}, { false } end"
    finally(hung.stop)
    local text, rc
    run_and_kill("in.jsonl out.jsonl --jobs 2 --base-url " .. hung.url, function()
      if #hung.journal() < 2 then return false end
      text, rc = run("in.jsonl out.jsonl --base-url " .. hung.url)
      return true
    end)
    assert.equal(1, rc)
    assert.truthy(text:find("another batch's", 1, true), text)
    assert.equal(2, #hung.journal())
  end)
end)

describe("keycycle batch, with limits,", function()
  it("rotates where a key is spent, and loses no line", function()
    questions(24)
    local mock = servers.mock(MOCK_KEYS .. "--rpm 8 --no-limit-headers")
    finally(mock.stop)
    local text, rc = run("in.jsonl out.jsonl --jobs 4 --base-url " .. mock.url)
    assert.equal(0, rc, text)
    assert.equal(24, (select(2, answers())))
    local journal = json.decode(keycycle.http.request { url = mock.root .. "/journal" }.body)
    local answered = 0
    for _, entry in ipairs(journal.requests) do
      if entry.status == 200 then answered = answered + 1 end
    end
    assert.equal(24, answered)
  end)

  it("stops where no key is good or the model is not there, and goes on later", function()
    questions(30)
    local dead = servers.mock("--keys sk-other")
    local missing = servers.canned [[return function() return 404, {},
      '{"error":{"message":"The model does not exist","code":"model_not_found"}}' end]]
    finally(function() dead.stop() missing.stop() end)
    local text, rc = run("in.jsonl out.jsonl --base-url " .. dead.url)
    assert.equal(1, rc)
    assert.truthy(text:find("stopped: InvalidKeyError", 1, true), text)
    assert.equal(0, (select(2, answers())))
    text, rc = run("in.jsonl out.jsonl --base-url " .. missing.url)
    assert.equal(1, rc)
    assert.truthy(text:find("stopped: ", 1, true), text)
    assert.equal(0, (select(2, answers())))
  end)
end)

describe("keycycle batch", function()
  it("says how it is used", function()
    local out, rc = run "--help"
    assert.equal(0, rc)
    assert.truthy(out:find("^usage: keycycle batch"), out)
    for arguments, word in pairs { [""] = "IN and OUT", ["a"] = "IN and OUT", ["a b c"] =
      "too many", ["--jobs 0 a b"] = "--jobs", ["--jobs x a b"] = "--jobs", ["--jobs"] = "--jobs",
      ["--nope a b"] = "--nope" } do
      out, rc = run(arguments .. " 2>&1 >/dev/null")
      assert.equal(2, rc, out)
      assert.truthy(out:find(word, 1, true) and out:find("usage: ", 1, true), out)
    end
  end)
end)
