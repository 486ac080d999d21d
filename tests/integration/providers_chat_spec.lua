--- Every provider's chat over real HTTP, natively: what the fact sheet says of the wire
--- beside what came, answers, streams and tool calls, and the usage that was settled.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local conform = require "tests.support.conform"
local facts = require "tests.support.facts"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"

setup(conform.start)
teardown(conform.stop)

-- Whose error inside a stream says that the servers are overloaded.
local overloaded = { anthropic = true, gemini = true, gemini_openai = true }

-- The request as its body must be: without what the route puts elsewhere.
local function body_of(form, request)
  local body = {}
  for k, v in pairs(request) do body[k] = v end
  for _, k in ipairs(form.in_path or {}) do body[k] = nil end
  return body
end

local function filled(auth, index)
  local out = {}
  for name, value in pairs(auth) do out[name] = value:gsub("{key}", "{" .. index .. "}") end
  return out
end

local auth_headers = { "authorization", "x-api-key", "api-key", "x-goog-api-key" }

-- The key stands where it belongs and nowhere else, the fact's own headers are there.
local function check_headers(fact, entry, accept)
  local auth = {}
  for _, name in ipairs(auth_headers) do auth[name] = entry.headers[name] end
  assert.same(filled(fact.auth, 1), auth)
  assert.is_nil((entry.path .. entry.query .. entry.body):find("{1}", 1, true))
  for name, value in pairs(fact.headers or {}) do assert.equal(value, entry.headers[name]) end
  assert.same({ "application/json", accept },
    { entry.headers["content-type"], entry.headers.accept })
end

-- What was settled is what the provider says, in all places that tell it.
local function check_usage(s, info)
  local theirs = s:journal()[1]
  assert.same({ theirs.input_tokens, theirs.output_tokens, theirs.total_tokens },
    { info.usage.input_tokens, info.usage.output_tokens, info.usage.total_tokens })
  assert.is_nil(info.usage.estimated)
  for _, index in ipairs { 1, false } do
    assert.same({ theirs.requests, theirs.total_tokens, 0 }, s:used(index or nil))
  end
  local stats = s.manager:get_model_stats(info.model)
  assert.equal(theirs.total_tokens, stats.total.total_tokens)
end

for _, name in ipairs(facts.names()) do
  describe("the provider " .. name, function()
    local s, fact
    before_each(function()
      s = conform.open(name)
      fact = s.fact
    end)
    after_each(function() s:close() end)

    it("has the base_url of the fact sheet, and https where it is not local", function()
      local base = provider.get(name).base_url
      assert.equal(fact.base, base)
      assert.truthy(base:find "^https://" or base:find "^http://localhost:")
    end)

    it("answers a chat whose request stands on the wire as the fact sheet has it", function()
      local request = s:request "Hello mock:reasoning=3"
      local response = s.form.call(s.client)(request)
      assert.equal("You said: Hello mock:reasoning=3", s.form.text(response))
      local entry, count = s:last()
      assert.same({ 1, "POST", fact.path, fact.query or "" },
        { count, entry.method, entry.path, entry.query })
      assert.same(body_of(s.form, request), entry.json)
      check_headers(fact, entry, "application/json")
      local info = keycycle.info(response)
      assert.same({ name, 1, 200, "aaaa-1" },
        { info.provider, info.key_index, info.status, info.key_suffix })
      check_usage(s, info)
    end)

    it("streams a text that is the answer's, closes and settles", function()
      local request = s:request("one two three four five six seven", true)
      local texts, chunks = {}, 0
      local stream = s.form.call(s.client, true)(request)
      for chunk in stream do
        chunks = chunks + 1
        texts[#texts + 1] = s.form.said(chunk)
      end
      assert.equal("You said: one two three four five six seven", table.concat(texts))
      assert.is_true(chunks > 2)
      assert.is_true(tostring(stream):find "closed" ~= nil)
      local entry, count = s:last()
      assert.same({ 1, fact.stream_path or fact.path, fact.stream_query or fact.query or "" },
        { count, entry.path, entry.query })
      assert.same(body_of(s.form, request), entry.json)
      check_headers(fact, entry, "text/event-stream")
      check_usage(s, keycycle.info(stream))
    end)

    it("gives the text of a stream at once, and settles one that is left early", function()
      assert.equal("You said: all of it", s:stream("all of it"):text())
      local stream = s:stream "one two three four five six seven eight nine"
      assert.equal("table", type(stream()))
      stream:close()
      local used = s:used()
      assert.same({ 2, 0 }, { used[1], used[3] })
      assert.is_true(keycycle.info(stream).usage.total_tokens > 0)
    end)

    it("raises what breaks a stream off, after the text that came, and blames no key", function()
      local code = overloaded[name] and "overloaded" or "server"
      for fault, class in pairs { midstream = keycycle.APIError, cut = keycycle.TransportError } do
        local stream, texts = s:stream("mock:fault=" .. fault), {}
        local err = raises(class, nil, function()
          for chunk in stream do texts[#texts + 1] = s.form.said(chunk) end
        end)
        assert.equal("You said: one two three four", table.concat(texts))
        assert.equal(fault == "cut" and "cut" or code, err.code)
        assert.is_true(keycycle.info(stream).usage.total_tokens > 0)
      end
      local used = s:used()
      assert.same({ 2, 0, { "ready", "ready" } }, { used[1], used[3], s:states() })
    end)

    if asking[facts[name].form].tool then
      it("offers a tool and reads its call, in an answer and in a stream", function()
        local called, arguments = s.form.tool(s:ask "mock:tool=weather")
        assert.same({ "weather", asking.ARGUMENTS }, { called, arguments })
        local pieces = {}
        called = nil
        for chunk in s:stream "mock:tool=weather" do
          local piece_name, piece = s.form.piece(chunk)
          called = called or piece_name
          pieces[#pieces + 1] = piece
        end
        assert.same({ "weather", asking.ARGUMENTS },
          { called, keycycle.json.decode(table.concat(pieces)) })
        assert.same({ 2, s:journal()[1].total_tokens, 0 }, s:used())
      end)
    end
  end)
end
