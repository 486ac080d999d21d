--- Our clients beside a mock of all providers that others wrote (aimock of npm): what
--- is answered and streamed reaches the program whole, what was used is counted, and
--- what reached the mock is what we meant to send.
local keycycle = require "keycycle"
local dialects = require "tests.peers.dialects"
local files = require "tests.support.files"
local session = require "tests.peers.session"
local servers = require "tests.support.servers"

local CONTENT = "Grüße aus Zürich — all is well,\nand \"quoted\" text comes whole."
local INPUT, OUTPUT = 31, 12 -- tokens, by the fixtures
local auths = { "authorization", "x-api-key", "x-goog-api-key", "api-key" }

describe("beside aimock", function()
  local mock
  setup(function() mock = servers.aimock "tests/peers/fixtures" end)
  teardown(function() mock.stop() end)
  before_each(function() mock.forget() end)

  local function check_headers(headers, dialect, accept)
    for _, name in ipairs(auths) do
      assert.equal(name == dialect.auth and "[REDACTED]" or nil, headers[name], name)
    end
    assert.equal("application/json", headers["content-type"])
    assert.equal(accept, headers.accept)
    for name, value in pairs(dialect.headers or {}) do assert.equal(value, headers[name]) end
  end

  -- The mock writes down what it understood of a body, in OpenAI's form.
  local function check_body(body, dialect, text)
    assert.same({ { role = "system", content = "Be brief." }, { role = "user", content = text } },
      body.messages)
    assert.same({ dialect.model, 0.5, 64, "get_weather", "The weather" }, { body.model,
      body.temperature, body.max_tokens, body.tools[1]["function"].name,
      body.tools[1]["function"].description })
    assert.equal("string", body.tools[1]["function"].parameters.properties.city.type)
  end

  local function only_request(path)
    local list = mock.journal()
    assert.equal(1, #list)
    assert.same({ "POST", path, 200 }, { list[1].method, list[1].path, list[1].response.status })
    return list[1]
  end

  for _, name in ipairs(session.names()) do
    describe(name, function()
      local s
      before_each(function() s = session.open(mock, name) end)
      after_each(function() s.wrapper:stop() end)

      it("answers, and what was used is counted", function()
        local response = s:ask "hello"
        assert.equal(CONTENT, s.dialect.text(response))
        local info = keycycle.info(response)
        assert.same({ INPUT, OUTPUT, INPUT + OUTPUT }, { info.usage.input_tokens,
          info.usage.output_tokens, info.usage.total_tokens })
        assert.same({ s.provider, s.dialect.model, 1 },
          { info.provider, info.model, info.key_index })
        assert.same({ 1, INPUT + OUTPUT, 0 }, s:totals())
        local request = only_request(s.dialect.path)
        check_headers(request.headers, s.dialect, "application/json")
        check_body(request.body, s.dialect, "hello")
        assert.is_not_true(request.body.stream)
      end)

      it("streams, and what was used is counted", function()
        local stream <close> = s:stream "hello"
        assert.equal(CONTENT, stream:text())
        local usage = keycycle.info(stream).usage
        assert.same({ INPUT, OUTPUT, INPUT + OUTPUT },
          { usage.input_tokens, usage.output_tokens, usage.total_tokens })
        assert.is_nil(usage.estimated)
        assert.same({ 1, INPUT + OUTPUT, 0 }, s:totals())
        local request = only_request(s.dialect.stream_path or s.dialect.path)
        check_headers(request.headers, s.dialect, "text/event-stream")
        check_body(request.body, s.dialect, "hello")
        assert.is_true(request.body.stream)
      end)

      it("calls a tool", function()
        local tool, arguments = s.dialect.tool(s:ask "How is the weather?")
        assert.equal("get_weather", tool)
        assert.same({ city = "Zürich", days = 3 }, arguments)
        assert.same({ 1, INPUT + OUTPUT, 0 }, s:totals())
      end)

      it("calls a tool in a stream", function()
        local tool, arguments, events = nil, {}, 0
        for chunk in s:stream "How is the weather?" do
          local named, piece = s.dialect.tool_piece(chunk)
          tool = tool or named
          arguments[#arguments + 1], events = piece, events + 1
        end
        assert.equal("get_weather", tool)
        assert.same({ city = "Zürich", days = 3 },
          keycycle.json.decode(table.concat(arguments)))
        assert.is_true(events > 0)
        assert.same({ 1, INPUT + OUTPUT, 0 }, s:totals())
      end)

      it("settles a stream that is left early", function()
        for chunk in s:stream "hello" do
          if s.dialect.said(chunk) then break end
        end
        local total = s:totals()
        assert.same({ 1, 0 }, { total[1], total[3] })
        assert.is_true(total[2] > 0)
      end)

      if dialects[name].embed then
        it("embeds", function()
          local vector = { 0.5, -0.25, 0.125 }
          assert.same({ vector, vector }, s.dialect.embed(s.client, { "two vectors, one",
            "two vectors, two" }))
          local list = mock.journal()
          for _, request in ipairs(list) do
            assert.same({ s.dialect.embed_path, 200 }, { request.path, request.response.status })
          end
          assert.same({ #list, 0 }, { s:totals()[1], s:totals()[3] })
        end)
      end
    end)
  end

  it("runs all providers at once, streams and answers in one thread", function()
    local all, tasks = {}, {}
    for i, name in ipairs(session.names()) do
      all[i] = session.open(mock, name)
      for n = 1, 6 do
        tasks[#tasks + 1] = function()
          if n % 2 == 0 then return all[i]:stream("hello"):text() end
          return all[i].dialect.text(all[i]:ask "hello")
        end
      end
    end
    local texts = keycycle.run(keycycle.gather, tasks)
    assert.equal(#tasks, #texts)
    for _, text in ipairs(texts) do assert.equal(CONTENT, text) end
    for _, s in ipairs(all) do
      assert.same({ 6, 6 * (INPUT + OUTPUT), 0 }, s:totals())
      s.wrapper:stop()
    end
    assert.equal(#tasks, #mock.journal())
  end)

  it("lists models, and what OpenRouter knows of a key", function()
    local openai <close> = session.open(mock, "openai")
    assert.equal("list", openai.client.models:list().object)
    local openrouter <close> = session.open(mock, "openrouter")
    assert.equal("table", type(openrouter.client.models:list().data))
    assert.equal("number", type(openrouter.client.credits:retrieve().data.total_credits))
    assert.same({ "/api/v1/models", "/api/v1/credits" },
      { mock.journal()[1].path, mock.journal()[2].path })
  end)

  it("reranks and moderates", function()
    local cohere <close> = session.open(mock, "cohere")
    assert.same({}, cohere.client:rerank { model = "rerank-v3.5", query = "two vectors",
      documents = { "one", "two" } }.results)
    local openai <close> = session.open(mock, "openai")
    local result = openai.client.moderations:create { input = "hello" }.results[1]
    assert.is_false(result.flagged)
    assert.same({ "/v2/rerank", "/v1/moderations" },
      { mock.journal()[1].path, mock.journal()[2].path })
  end)

  it("streams from Gemini by the flag as well", function()
    local s <close> = session.open(mock, "gemini")
    local request = s.dialect.request "hello"
    request.stream = true
    assert.equal(CONTENT, s.client.models:generate_content(request):text())
    only_request(s.dialect.stream_path)
  end)

  it("sends each key's own parameters with it: a deployment, an organization", function()
    local azure <close> = session.open(mock, "azure_openai", { keys = {
      { api_key = session.KEYS[1], deployment = "east" },
      { api_key = session.KEYS[2], deployment = "far west", api_version = "2025-01-01" },
    } })
    azure:ask "limited once"
    local list = mock.journal()
    assert.same({ "/openai/deployments/east/chat/completions?api-version=2024-10-21",
      "/openai/deployments/far%20west/chat/completions?api-version=2025-01-01" },
      { list[1].path, list[2].path })
    mock.forget()
    local openai <close> = session.open(mock, "openai", { keys = {
      { api_key = session.KEYS[1], organization = "org-one", project = "proj-one" },
      { api_key = session.KEYS[2] },
    } })
    openai:ask "limited once"
    list = mock.journal()
    assert.same({ "org-one", "proj-one" }, { list[1].headers["openai-organization"],
      list[1].headers["openai-project"] })
    assert.is_nil(list[2].headers["openai-organization"])
  end)

  it("sends a file to be transcribed as a form that others can read", function()
    local s <close> = session.open(mock, "openai")
    files.with("RIFF\r\n--not the boundary\r\n\0\1\2", function(path)
      local response = s.client.audio.transcriptions:create { file = path, model = "whisper-2" }
      assert.equal("what was said", response.text)
    end)
    local request = only_request "/v1/audio/transcriptions"
    assert.equal("whisper-2", request.body.model)
    assert.truthy(request.headers["content-type"]:find("^multipart/form%-data; boundary="))
  end)
end)
