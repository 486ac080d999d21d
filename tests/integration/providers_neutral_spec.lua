--- The neutral way to every provider over real HTTP: a neutral request through the
--- adapter's protocol and the face, and its answers and streams back into the neutral
--- form: the same from all of them.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local collect = require "keycycle.protocol.collect"
local conform = require "tests.support.conform"
local facts = require "tests.support.facts"
local provider = require "keycycle.provider"
local wire = require "keycycle.call.wire"

setup(conform.start)
teardown(conform.stop)

-- A session that speaks neutrally: `as` names the protocol of the adapter.
local function open(name)
  local s = conform.open(name)
  s.adapter, s.as = provider.get(name), s.form.as
  s.protocol = wire.protocol(s.adapter, s.as)
  return s
end

local function encoded(s, messages, stream)
  return wire.encode(s.adapter, s.as, { model = s.fact.model, messages = messages,
    tools = s.form.tool and { asking.TOOL } or nil, temperature = 0.5, max_tokens = 64,
    stream = stream, extra = s.name == "twelvelabs" and { video_id = "v" } or nil })
end

-- What the face takes: the native request, with what its route puts into the path.
local function for_face(s, made, stream)
  local request = {}
  for k, v in pairs(made.json) do request[k] = v end
  for _, k in ipairs(s.form.in_path or {}) do
    request[k] = k == "model" and s.fact.model or stream
  end
  if s.fact.form == "analyze" then request.model_name = nil end
  return request
end

local function read_stream(s, stream)
  local whole, state = collect.new(), {}
  for event in stream do whole:add(s.protocol.event("message", event, state)) end
  return whole:response()
end

-- The neutral response, of an answer or put together from a stream, and its info.
local function converse(s, messages, stream)
  local request = for_face(s, encoded(s, messages, stream), stream)
  local answer = s.form.call(s.client, stream)(request)
  if not stream then return s.protocol.decode(answer), keycycle.info(answer) end
  return read_stream(s, answer), keycycle.info(answer)
end

local function user(text) return { role = "user", content = text } end

-- The usage of the response is the mock's own count, what was settled is the same.
local function check_usage(s, response, info, before)
  local theirs = s:journal()[1]
  local total = theirs.total_tokens - (before or 0)
  assert.same({ total, total, total }, { response.usage.total_tokens, info.usage.total_tokens,
    response.usage.input_tokens + response.usage.output_tokens })
  assert.same({ theirs.requests, theirs.total_tokens, 0 }, s:used())
  return theirs.total_tokens
end

describe("client:request", function()
  it("knows what a path means that is filled in already, and settles its usage", function()
    local s <close> = open "azure_openai"
    local answer = s.client:request { path = "/openai/deployments/mine/chat/completions",
      query = { ["api-version"] = "2025-04-01-preview" }, json = encoded(s, { user "Hi" }).json }
    assert.equal("You said: Hi", answer.choices[1].message.content)
    assert.equal(s:journal()[1].total_tokens, keycycle.info(answer).usage.total_tokens)
    assert.same({ "/openai/deployments/mine/chat/completions", "api-version=2025-04-01-preview" },
      { s:last().path, s:last().query })
  end)
end)

for _, name in ipairs(facts.names()) do
  describe("the provider " .. name .. ", asked neutrally,", function()
    local s
    before_each(function() s = open(name) end)
    after_each(function() s:close() end)

    for _, stream in ipairs { false, true } do
      local way = stream and "streams" or "answers"

      it(way .. " text, its end and its usage", function()
        local response, info = converse(s, { user "Hello there, how are you today?" }, stream)
        assert.same({ "You said: Hello there, how are you today?", "stop", {} },
          { response.content, response.finish_reason, response.tool_calls })
        check_usage(s, response, info)
        local entry = s:last()
        assert.equal(stream and s.fact.stream_path or s.fact.path, entry.path)
        local most = entry.json.generationConfig or entry.json
        assert.equal(64, most[s.fact.most or "max_tokens"])
      end)

      it(way .. " what was cut short, and says so", function()
        local response = converse(s, { user(("long "):rep(80)) }, stream)
        assert.equal("length", response.finish_reason)
      end)

      if asking[facts[name].form].tool then
        it(way .. " with a tool call, and hears of its result", function()
          local messages = { { role = "system", content = "Be brief." },
            user "mock:tool=weather mock:cached=2" }
          local response, info = converse(s, messages, stream)
          local call = response.tool_calls[1]
          assert.same({ 1, "weather", asking.ARGUMENTS, "tool_calls", "" },
            { #response.tool_calls, call.name, call.arguments, response.finish_reason,
              response.content })
          local before = check_usage(s, response, info)
          messages[3] = collect.message(response)
          messages[4] = { role = "tool", tool_call_id = call.id, content = "12 degrees" }
          response, info = converse(s, messages, stream)
          assert.truthy(response.content:find("^The tool weather said: .*12 degrees"))
          assert.same({ "stop", {} }, { response.finish_reason, response.tool_calls })
          check_usage(s, response, info, before)
        end)
      end
    end

    it("is asked by client:request as well, and answers the same", function()
      local route
      for _, one in pairs(s.adapter.routes) do
        if one.protocol == s.as and not one.stream then route = one end
      end
      local made = encoded(s, { user "Hello" })
      local answer = s.client:request { path = made.path or route.path, query = route.query,
        headers = made.headers, json = made.json, model = s.fact.model }
      assert.equal("You said: Hello", s.protocol.decode(answer).content)
      check_usage(s, s.protocol.decode(answer), keycycle.info(answer))
      assert.equal(s.fact.path, (s:last().path))
      made = encoded(s, { user "one two three four five" }, true)
      local stream = s.client:request { path = made.path or route.stream_path or route.path,
        query = route.stream_query or route.query, json = made.json, model = s.fact.model,
        stream = true }
      assert.equal("You said: one two three four five", read_stream(s, stream).content)
      assert.same({ 2, s:journal()[1].total_tokens, 0 }, s:used())
    end)
  end)
end
