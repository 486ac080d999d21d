--- Providers that are written from a fact sheet, as users write them: their files, run in
--- the box, over HTTP to a server that does what the sheet says.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local FOLDER = "tests/fixtures/scripts"
local KEYS = { "own-aaaaaaaaaaaaaaaa-1", "own-bbbbbbbbbbbbbbbb-2" }

local server, wrapper, client, manager

-- A provider with two keys at a server whose answers are `text`.
local function start(name, text, config, opts)
  server = servers.canned(text)
  wrapper = keycycle.MultiClientWrapper.new { scripts = FOLDER }
  local all = { keys = KEYS, base_url = server.url, selection = "fill_first" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider(name, all)
  client, manager = wrapper:get_rotating_client(name, opts), wrapper:get_manager(name)
end

local function total() return manager:get_global_stats().total end

local function trail(err, field)
  local out = {}
  for i, one in ipairs(err.attempts) do out[i] = one[field] or false end
  return out
end

before_each(function() keycycle.log.set_sink(function() end) end)
after_each(function()
  keycycle.log.set_sink(nil)
  if wrapper then wrapper:stop() end
  if server then server.stop() end
  wrapper, server = nil, nil
end)

describe("a provider's file", function()
  it("has at most forty lines", function()
    local seen = 0
    for name in io.popen("ls " .. FOLDER .. "/providers"):lines() do
      local file <close> = assert(io.open(FOLDER .. "/providers/" .. name))
      local lines = 0
      for _ in file:lines() do lines = lines + 1 end
      assert.is_true(lines <= 40, name .. " has " .. lines)
      seen = seen + 1
    end
    assert.is_true(seen >= 3)
  end)

  it("is all that a host needs to be told of", function()
    local folder, remove = files.folder()
    files.with("print(require 'keycycle'.classify('nimbus', { status = 400, body = "
      .. [['{"fault":{"code":"E_LONG"}}' }).kind)]], function(script)
      local pipe <close> = io.popen(("HOME=%s KEYCYCLE_PATH=%s %s/keycycle %s 2>&1"):format(folder,
        FOLDER, servers.build, script))
      assert.equal("context_length\n", pipe:read "a")
    end)
    remove()
  end)
end)

describe("a provider that speaks another's form", function()
  local ANSWERS = [[
    local usage = '"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}'
    return function(request)
      local quota = { ["x-quota-requests"] = "30", ["x-quota-requests-left"] = "29",
        ["x-quota-reset"] = "1m0s" }
      if request.body:find "spent" and request.key:find "1$" then
        return 429, quota, '{"error":{"type":"rate_exceeded","message":"no more","wait":25}}'
      elseif request.body:find "closed" then
        return 403, quota, '{"error":{"type":"closed","message":"gone"}}'
      elseif request.body:find "heavy" then
        return 520, quota, "<html>"
      elseif request.body:find '"stream":true' then
        quota["content-type"] = "text/event-stream"
        return 200, quota, { 'data: {"choices":[{"delta":{"content":"He"}}]}\n\n',
          'data: {"choices":[{"delta":{"content":"llo"},"finish_reason":"stop"}]}\n\n',
          'data: {"choices":[],' .. usage .. '}\n\n', "data: [DONE]\n\n" }
      end
      return 200, quota, '{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}],'
        .. usage .. '}'
    end]]

  local function say(text, stream)
    return { model = "star-1", stream = stream, messages = { { role = "user", content = text } } }
  end

  it("answers, and its usage is counted", function()
    start("quasar", ANSWERS)
    local answer = client.chat.completions:create(say "hi")
    assert.equal("Hello", answer.choices[1].message.content)
    assert.equal(7, keycycle.info(answer).usage.total_tokens)
    local seen = server.journal()[1]
    assert.same({ "/chat/completions", "Bearer " .. KEYS[1], "keycycle" },
      { seen.path, seen.headers.authorization, seen.headers["x-client"] })
    assert.same({ 1, 7, 0 }, { total().total_requests, total().total_tokens, total().in_flight })
  end)

  it("streams", function()
    start("quasar", ANSWERS)
    local stream <close> = client.chat.completions:create(say("hi", true))
    assert.equal("Hello", stream:text())
    assert.same({ 7, 0 }, { total().total_tokens, total().in_flight })
  end)

  it("has its limits from its file, and its headers", function()
    start("quasar", ANSWERS)
    assert.equal(10, manager:explain("star-7")[1].limits.requests_per_minute)
    assert.equal(40, manager:explain("else")[1].limits.requests_per_minute)
    client.chat.completions:create(say "hi")
    assert.equal(1, total().rpm)
    wrapper:register_provider("quasar", { keys = KEYS, base_url = server.url,
      key_tiers = { [2] = "paid" } })
    assert.equal(400, manager:explain("star-7")[2].limits.requests_per_minute)
  end)

  it("rotates at a 429 by its own word, and waits as long as it says", function()
    start("quasar", ANSWERS)
    local info = keycycle.info(client.chat.completions:create(say "spent"))
    assert.same({ 1, 2 }, trail(info, "key_index"))
    assert.same({ "quota", "ok" }, trail(info, "kind"))
    local key = manager:keys()[1]
    assert.equal("cooling", key.state)
    local left = key.until_at - keycycle.clock.now()
    assert.is_true(left > 20 and left <= 25.1, tostring(left))
    assert.equal(1, total().rpm) -- what it refused is not counted
  end)

  it("has its other refusals understood, too", function()
    start("quasar", ANSWERS, nil, { max_retries = 1 })
    local err = raises(keycycle.InvalidKeyError, nil, client.chat.completions.create, say "closed")
    assert.same({ "auth", 403 }, { err.code, err.status })
    manager:reset(1)
    manager:reset(2)
    err = raises(keycycle.APIError, nil, client.chat.completions.create, say "heavy",
      { max_retries = 0 })
    assert.equal("overloaded", err.code)
  end)

  it("is asked as often as a policy's file says", function()
    start("quasar", ANSWERS, { policy = "one_more" })
    local err = raises(keycycle.APIError, nil, client.chat.completions.create, say "heavy")
    assert.same({ "rotate", "fail" }, trail(err, "action"))
    assert.equal(2, #server.journal())
  end)
end)

describe("a provider with a form of its own", function()
  local ANSWERS = [[
    return function(request)
      if request.body:find "spent" then
        return 429, {}, '{"fault":{"code":"E_THROTTLED","seconds":30}}'
      elseif request.body:find "long" then
        return 422, {}, '{"fault":{"code":"E_LONG"}}'
      elseif request.body:find '"stream":true' then
        return 200, { ["content-type"] = "text/event-stream" }, { 'data: {"piece":"a"}\n\n',
          'data: {"piece":"b","stats":{"read":5,"written":6}}\n\n' }
      end
      return 200, {}, '{"text":"ab","stats":{"read":2,"written":3}}'
    end]]
  local TWO = { { api_key = KEYS[1], workspace = "north" },
    { api_key = KEYS[2], workspace = "a b" } }

  it("sends each key its own parameter, in its own header", function()
    start("nimbus", ANSWERS, { keys = TWO, selection = "round_robin" })
    for _ = 1, 2 do
      local answer = client:generate { engine = "n1", prompt = "hi" }
      assert.equal("ab", answer.text)
      assert.equal(5, keycycle.info(answer).usage.total_tokens)
    end
    local by_key = {}
    for _, seen in ipairs(server.journal()) do
      assert.is_nil(seen.headers.authorization)
      by_key[seen.headers["x-nimbus-token"]] = seen.path
    end
    assert.same({ [KEYS[1]] = "/w/north/generate", [KEYS[2]] = "/w/a%20b/generate" }, by_key)
    assert.same({ 2, 10 }, { total().total_requests, total().total_tokens })
  end)

  it("is not led to another path by a value in it", function()
    start("nimbus", ANSWERS, { keys = { { api_key = KEYS[1], workspace = "../x" } } })
    local err = raises(keycycle.KeycycleError, "in the path", client.generate,
      { engine = "n1", prompt = "hi" })
    assert.equal("bad_request", err.code)
    assert.same({ 0, 0 }, { total().in_flight, total().total_requests })
  end)

  it("streams what it sends, and the fields say what was used", function()
    start("nimbus", ANSWERS, { keys = TWO })
    local pieces = {}
    for event in client:generate { engine = "n1", prompt = "hi", stream = true } do
      pieces[#pieces + 1] = event.piece
    end
    assert.same({ "a", "b" }, pieces)
    assert.same({ 11, 0 }, { total().total_tokens, total().in_flight })
  end)

  it("reserves what the fields of a request say", function()
    start("nimbus", ANSWERS, { keys = TWO, limits = { tokens_per_minute = 100 } })
    local err = raises(keycycle.RateLimitError, nil, client.generate,
      { engine = "n1", prompt = "hi", limit = 200 })
    assert.equal("impossible", err.code)
    assert.same(keycycle.json.array {}, server.journal())
  end)

  it("has its codes understood", function()
    start("nimbus", ANSWERS, { keys = TWO })
    local err = raises(keycycle.RateLimitError, nil, client.generate,
      { engine = "n1", prompt = "spent" }, { max_retries = 1 })
    assert.same({ "rate_limited", 429 }, { err.code, err.status })
    assert.same({ "quota", "quota" }, trail(err, "kind"))
    assert.truthy(err.body:find("E_THROTTLED", 1, true))
    for i = 1, 2 do manager:reset(i) end
    local answer = raises(keycycle.APIError, nil, client.generate,
      { engine = "n1", prompt = "long" })
    assert.equal("context_length", answer.code)
    assert.same({ 0, 0 }, { total().in_flight, total().total_tokens })
  end)

  it("is tried as it says by keycycle check", function()
    start("nimbus", ANSWERS, { keys = TWO })
    local folder, remove = files.folder()
    local pipe <close> = io.popen(("env HOME=%s KEYCYCLE_PATH=%s NIMBUS_API_KEY_1=%s "
      .. "NIMBUS_WORKSPACE_1=east %s/keycycle check nimbus %s 2>&1"):format(folder, FOLDER,
      KEYS[1], servers.build, server.url))
    local out = pipe:read "a"
    assert.truthy(out:find("nimbus +1 +%S+ +ok"), out)
    assert.is_nil(out:find(KEYS[1], 1, true))
    assert.equal("/w/east", server.journal()[1].path)
    remove()
  end)
end)

describe("a provider whose wire format is in its file", function()
  local ANSWERS = [[
    return function(request)
      if request.body:find "spent" and request.key:find "1$" then
        return 429, {}, '{"halt":{"reason":"please slow down","seconds":12}}'
      elseif request.body:find "broken" then
        return 200, { ["content-type"] = "text/event-stream" },
          { 'event: word\ndata: {"w":"a"}\n\n', 'event: halt\ndata: {"halt":{"reason":"x"}}\n\n' }
      elseif request.body:find '"live":true' then
        return 200, { ["content-type"] = "text/event-stream" }, {
          'event: word\ndata: {"w":"a"}\n\n',
          'event: word\ndata: {"w":" b"}\n\n', 'event: over\ndata: {"heard":4}\n\n' }
      end
      return 200, {}, '{"said":"a b","cost":{"heard":4,"spoken":2}}'
    end]]

  it("answers, and what it decodes says what was used", function()
    start("lyra", ANSWERS)
    local answer = client:say { who = "great", lines = { "hi" } }
    assert.equal("a b", answer.said)
    assert.equal(6, keycycle.info(answer).usage.total_tokens)
    assert.equal("Key " .. KEYS[1], server.journal()[1].headers.authorization)
    assert.same({ 6, 0 }, { total().total_tokens, total().in_flight })
  end)

  it("streams, and counts in what it notes from event to event", function()
    start("lyra", ANSWERS)
    local stream <close> = client:say_live { who = "great", lines = { "hi" } }
    assert.equal("a b", stream:text())
    assert.same({ input_tokens = 4, output_tokens = 2, total_tokens = 6 },
      keycycle.info(stream).usage)
    assert.same({ 6, 0 }, { total().total_tokens, total().in_flight })
  end)

  it("rotates at its 429", function()
    start("lyra", ANSWERS)
    local info = keycycle.info(client:say { who = "great", lines = { "spent" } })
    assert.same({ "quota", "ok" }, trail(info, "kind"))
    local left = manager:keys()[1].until_at - keycycle.clock.now()
    assert.is_true(left > 8 and left <= 12.1, tostring(left))
  end)

  it("raises what its stream says went wrong", function()
    start("lyra", ANSWERS)
    local stream <close> = client:say_live { who = "great", lines = { "broken" } }
    assert.equal("a", stream().w)
    raises(keycycle.APIError, nil, stream)
    assert.equal(0, total().in_flight)
  end)

  it("asks its function of limits for each key and model", function()
    start("lyra", ANSWERS)
    client:say { who = "great", lines = {} }
    client:say { who = "small", lines = {} }
    local function limits(model)
      local out = {}
      for i, line in ipairs(manager:explain(model)) do
        out[i] = line.limits.requests_per_minute
      end
      return out
    end
    assert.same({ 50, 5 }, limits "great")
    assert.same({ 100, 100 }, limits "small")
  end)

  it("encodes what is asked in the neutral form", function()
    start("lyra", ANSWERS)
    local made = require "keycycle.call.wire".encode(provider.get "lyra", "chat", { model = "great",
      messages = { { role = "user", content = "a" }, { role = "user", content = "b" } } })
    assert.same({ json = { who = "great", lines = { "a", "b" } } }, made)
  end)
end)
