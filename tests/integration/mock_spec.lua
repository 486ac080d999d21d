--- The mock provider by itself: what it answers, refuses and writes down.
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local A, B = "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2"

describe("the mock", function()
  local mock
  after_each(function()
    if mock then mock.stop() end
    mock = nil
  end)
  local function start(options)
    mock = servers.mock("--keys " .. A .. "," .. B .. " --clock manual " .. (options or ""))
  end

  local function ask(body, key, path)
    local answer = keycycle.http.request { method = "POST", body = type(body) == "string" and body
      or keycycle.json.encode(body), url = mock.url .. (path or "/chat/completions"),
      headers = { authorization = "Bearer " .. (key or A) } }
    local ok, decoded = pcall(keycycle.json.decode, answer.body)
    answer.json = ok and decoded or nil
    return answer
  end
  local function chat(text, more)
    local body = { model = "m", messages = { { role = "user", content = text or "hi" } } }
    for k, v in pairs(more or {}) do body[k] = v end
    return body
  end
  local function journal()
    return keycycle.json.decode(keycycle.http.request { url = mock.root .. "/journal" }.body)
  end
  local function advance(seconds)
    keycycle.http.request { method = "POST", url = mock.root .. "/advance?seconds=" .. seconds }
  end

  it("speaks OpenAI's chat completions", function()
    start()
    local answer = ask(chat())
    assert.same({ 200, "chat.completion", "You said: hi", "stop" }, { answer.status,
      answer.json.object, answer.json.choices[1].message.content,
      answer.json.choices[1].finish_reason })
    local usage = answer.json.usage
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
    assert.equal("length", ask(chat("long enough to cut", { max_tokens = 2 })).json
      .choices[1].finish_reason)
  end)

  it("streams, with the usage in the last event", function()
    start()
    local answer = ask(chat("one two three four", { stream = true,
      stream_options = { include_usage = true } }))
    assert.equal("text/event-stream", answer.headers["content-type"])
    local events = {}
    for data in answer.body:gmatch "data: ([^\n]+)\n\n" do events[#events + 1] = data end
    assert.equal("[DONE]", events[#events])
    local used = keycycle.json.decode(events[#events - 1])
    assert.equal(journal().keys[1].total_tokens, used.usage.total_tokens)
    assert.equal(1, journal().keys[1].streams)
    local without = ask(chat("x", { stream = true })) -- on demand only
    assert.is_nil(without.body:find("prompt_tokens", 1, true))
  end)

  it("limits each key by itself, in a minute that rolls", function()
    start "--rpm 2"
    assert.equal(200, ask(chat()).status)
    advance(30)
    assert.equal(200, ask(chat()).status)
    local refused = ask(chat())
    assert.same({ 429, "30", "rate_limit_exceeded", "requests" }, { refused.status,
      refused.headers["retry-after"], refused.json.error.code, refused.json.error.type })
    assert.same({ "2", "0" }, { refused.headers["x-ratelimit-limit-requests"],
      refused.headers["x-ratelimit-remaining-requests"] })
    assert.equal(200, ask(chat(), B).status)
    advance(30)
    assert.equal(200, ask(chat()).status)
    assert.equal(429, ask(chat()).status)
    local key = journal().keys[1]
    assert.same({ 5, 3, 2 }, { key.requests, key.ok, key.refused })
  end)

  it("limits tokens, too", function()
    start "--tpm 20"
    assert.equal(200, ask(chat(("x"):rep(20))).status)
    local refused = ask(chat(("x"):rep(20)))
    assert.same({ 429, "tokens" }, { refused.status, refused.json.error.type })
  end)

  it("may keep its limits to itself", function()
    start "--rpm 1 --no-limit-headers"
    assert.is_nil(ask(chat()).headers["x-ratelimit-limit-requests"])
    assert.equal("60", ask(chat()).headers["retry-after"])
  end)

  it("knows its keys, and shows no more of another than its ends", function()
    start()
    local refused = ask(chat(), "sk-secret-0123456789-long")
    assert.same({ 401, "invalid_api_key" }, { refused.status, refused.json.error.code })
    assert.is_nil(refused.body:find("0123456789", 1, true))
    assert.equal(1, journal().auth_failed)
  end)

  it("refuses what OpenAI would", function()
    start()
    assert.equal(400, ask("no json").status)
    assert.equal(400, ask({ model = "m" }).status)
    assert.equal(400, ask({ messages = {} }).status)
    assert.equal(400, ask(chat(), nil, "/embeddings").status)
    assert.equal(404, ask(chat(), nil, "/nowhere").status)
    assert.equal(405, ask(chat(), nil, "/models").status)
    assert.equal(6, journal().keys[1].failed)
  end)

  it("fails when it is told to", function()
    start "--fail-every 3"
    local statuses = {}
    for i = 1, 4 do statuses[i] = ask(chat()).status end
    assert.same({ 200, 200, 500, 200 }, statuses)
    local refused = ask(chat "mock:status=503 retry_after=1.5")
    assert.same({ 503, "1.5" }, { refused.status, refused.headers["retry-after"] })
  end)

  it("writes down what reached it, and forgets when told to", function()
    start()
    ask(chat())
    ask({ model = "m", input = "some text" }, nil, "/embeddings")
    local written = journal()
    assert.same({ 2, "/v1/chat/completions", 200, 1 }, { #written.requests,
      written.requests[1].path, written.requests[1].status, written.requests[1].key })
    keycycle.http.request { method = "POST", url = mock.root .. "/journal/reset" }
    assert.same({ 0, 0 }, { #journal().requests, journal().keys[1].requests })
  end)

  it("listens on this machine only", function()
    start()
    local port = tonumber(mock.url:match ":(%d+)/")
    local hex = (":%04X "):format(port)
    local f <close> = assert(io.open "/proc/net/tcp")
    local listeners = 0
    for line in f:lines() do
      local address, state = line:match "^%s*%d+: (%x+:%x+) %S+ (%x+)"
      if address and state == "0A" and (address .. " "):find(hex, 1, true) then
        listeners = listeners + 1
        assert.equal("0100007F", address:match "^%x+")
      end
    end
    assert.equal(1, listeners)
  end)
end)

describe("the mock's command line", function()
  local function run(options)
    local pipe = assert(io.popen(("timeout 20 %s/keycycle mock %s 2>&1; echo rc=$?")
      :format(servers.build, options)))
    local out = pipe:read "a"
    pipe:close()
    return out:match "^(.-)rc=(%d+)\n$"
  end

  it("names what it cannot take", function()
    for options, word in pairs { ["--port x"] = "--port", ["--rpm -1"] = "--rpm",
      ["--nobody"] = "--nobody", ["--style nobody"] = "nobody", ["--keys ,"] = "--keys",
      ["--port 70000"] = "--port", ["--clock slow"] = "--clock", ["--tpm"] = "--tpm" } do
      local out, rc = run(options)
      assert.equal("2", rc)
      assert.truthy(out:find(word, 1, true), out)
    end
  end)

  it("helps", function()
    local out, rc = run "--help"
    assert.equal("0", rc)
    assert.truthy(out:find("--rpm", 1, true))
  end)

  it("says when the port is taken", function()
    local other = servers.mock ""
    local out, rc = run("--port " .. other.url:match ":(%d+)/")
    other.stop()
    assert.equal("1", rc)
    assert.truthy(out:find("keycycle mock:", 1, true))
  end)
end)
