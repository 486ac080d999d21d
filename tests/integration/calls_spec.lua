--- The way of a call over a real connection: rotation, retries, dead keys,
--- streams; what the client counted is what the mock's journal says.
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2",
  "sk-mock-cccccccccccccccc-3" }

local function say(text) return { messages = { { role = "user", content = text or "hi" } } } end

local mock, wrapper, client, manager, clock

local function journal()
  local answer = keycycle.http.request { url = mock.root .. "/journal" }
  return keycycle.json.decode(answer.body)
end

local function advance(seconds)
  clock:advance(seconds)
  keycycle.http.request { method = "POST", url = mock.root .. "/advance?seconds=" .. seconds }
end

-- One provider "p" on a fresh mock whose minute moves with ours.
local function start(options, config, opts)
  mock = servers.mock("--clock manual --keys " .. table.concat(KEYS, ",") .. " " .. options)
  clock = keycycle.clock.manual(1e9)
  wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  local all = { base_url = mock.url, keys = KEYS, default_model = "gpt-4o-mini" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider("p", all)
  client, manager = wrapper:get_rotating_client("p", opts), wrapper:get_manager "p"
end

local function agrees()
  local total = 0
  for i, theirs in ipairs(journal().keys) do
    local ours = manager:get_key_stats(i).total
    assert.same({ theirs.requests, theirs.total_tokens, 0 },
      { ours.total_requests, ours.total_tokens, ours.in_flight }, "key " .. i)
    total = total + theirs.requests
  end
  return total
end

describe("a call", function()
  after_each(function()
    wrapper:stop()
    mock.stop()
  end)

  it("returns the provider's own answer, and knows how it came", function()
    start("--rpm 100")
    local response = client.chat.completions:create(say "Hello")
    assert.equal("You said: Hello", response.choices[1].message.content)
    assert.is_nil(response.choices[1].message.refusal) -- null is absent
    local info = keycycle.info(response)
    assert.same({ "p", "gpt-4o-mini", 1, 200, 0 },
      { info.provider, info.model, info.key_index, info.status, info.waited })
    assert.equal("aaaa-1", info.key_suffix)
    assert.same({ { key_index = 1, status = 200, kind = "ok", waited = 0 } }, info.attempts)
    assert.equal(response.usage.total_tokens, info.usage.total_tokens)
    assert.equal("100", info.headers["x-ratelimit-limit-requests"])
    assert.same(response.usage.total_tokens, keycycle.json.decode(info.body).usage.total_tokens)
    assert.is_nil(keycycle.json.encode(response):find("key_index", 1, true))
    assert.equal(1, agrees())
  end)

  it("rotates on a spent quota, and leaves the spent key alone until its time", function()
    start("--rpm 2", { selection = "fill_first" })
    local used, turns = {}, {}
    manager:on("rotate", function(event)
      turns[#turns + 1] = event.from .. ">" .. event.key_index
    end)
    for _ = 1, 6 do
      local info = keycycle.info(client.chat.completions:create(say()))
      used[#used + 1] = info.key_index
    end
    assert.same({ 1, 1, 2, 2, 3, 3 }, used)
    keycycle.step(0)
    assert.same({ "1>2", "2>3" }, turns)
    -- The third call was refused by key 1, the fifth by key 2: no call twice.
    assert.equal(8, agrees())
    for i = 1, 2 do
      assert.same({ "cooling", 3 },
        { manager:keys()[i].state, journal().keys[i].requests })
    end
    local err = raises(keycycle.RateLimitError, nil, client.chat.completions.create, say(),
      { wait = false, max_retries = 0 })
    assert.same({ "rate_limited", 429, 60 }, { err.code, err.status, err.retry_after })
    err = raises(keycycle.NoAvailableKeyError, nil, client.chat.completions.create, say(),
      { wait = false })
    assert.equal("cooling", err.limit)
    advance(61)
    assert.equal(200, keycycle.info(client.chat.completions:create(say())).status)
    agrees()
  end)

  it("meets no refusal where the limits are declared", function()
    start("--rpm 5 --tpm 400", { limits = { requests_per_minute = 5, tokens_per_minute = 400 } })
    for _ = 1, 15 do client.chat.completions:create(say()) end
    local err = raises(keycycle.NoAvailableKeyError, "requests_per_minute",
      client.chat.completions.create, say(), { wait = false })
    assert.is_true(err.retry_after > 59 and err.retry_after <= 61)
    advance(61)
    for _ = 1, 3 do client.chat.completions:create(say "more") end
    assert.equal(18, agrees())
    for _, key in ipairs(journal().keys) do assert.equal(0, key.refused) end
  end)

  it("learns limits from headers, and what others use, and meets no refusal", function()
    start("--rpm 4", { keys = { KEYS[1], KEYS[2] } })
    wrapper:register_provider("openai", { base_url = mock.url, keys = { KEYS[3] },
      default_model = "gpt-4o-mini" })
    client, manager = wrapper:get_rotating_client "openai", wrapper:get_manager "openai"
    client.chat.completions:create(say())
    -- Somebody else has the same key.
    keycycle.http.request { method = "POST", url = mock.url .. "/chat/completions",
      headers = { authorization = "Bearer " .. KEYS[3] },
      body = keycycle.json.encode { model = "gpt-4o-mini", messages = say().messages } }
    client.chat.completions:create(say())
    client.chat.completions:create(say())
    raises(keycycle.NoAvailableKeyError, "requests_per_minute", client.chat.completions.create,
      say(), { wait = false })
    assert.same({ 4, 0 }, { journal().keys[3].ok, journal().keys[3].refused })
    advance(61)
    client.chat.completions:create(say())
    assert.equal(0, journal().keys[3].refused)
  end)

  it("waits in its queue for as long as needed, all callers at once", function()
    start("--rpm 2", { limits = { requests_per_minute = 2 } }, { timeout = 1000 })
    local done, tasks = 0, {}
    for i = 1, 18 do
      tasks[i] = keycycle.spawn(function()
        client.chat.completions:create(say())
        done = done + 1
      end)
    end
    local function until_done(n)
      while done < n do keycycle.step(5) end
      keycycle.step(0)
      assert.equal(n, done)
    end
    until_done(6)
    -- The mock's minute first: it must never be behind ours.
    for n = 12, 18, 6 do
      advance(61)
      until_done(n)
    end
    for _, t in ipairs(tasks) do t:await() end
    assert.equal(18, agrees())
    for _, key in ipairs(journal().keys) do assert.same({ 6, 0 }, { key.ok, key.refused }) end
  end)

  it("tries the same key again after a short refusal, for as long as it states", function()
    start ""
    local t = keycycle.spawn(function()
      client.chat.completions:create(say "mock:retry_after=2")
    end)
    while not t.done do
      keycycle.step(0.01)
      clock:advance(0.25)
    end
    local err = raises(keycycle.RateLimitError, nil, t.await, t)
    assert.equal(6, #err.attempts)
    for i = 1, 3 do assert.equal(1, err.attempts[i].key_index) end
    for i = 1, 3 do
      assert.is_true(err.attempts[i].waited > 2 and err.attempts[i].waited <= 3)
    end
    agrees()
  end)

  it("tries a broken server again on the same key, with jitter", function()
    start "--fail-every 2"
    client.chat.completions:create(say()) -- the first request is fine
    local t = keycycle.spawn(function() return client.chat.completions:create(say()) end)
    while not t.done do
      keycycle.step(0.01)
      clock:advance(1)
    end
    local info = keycycle.info(t:await())
    assert.equal(2, #info.attempts)
    assert.same({ 500, "server", 200 },
      { info.attempts[1].status, info.attempts[1].kind, info.attempts[2].status })
    assert.equal(info.attempts[1].key_index, info.attempts[2].key_index)
    assert.is_true(info.attempts[1].waited > 0)
  end)

  it("gives up at once when it is told to wait for very long", function()
    start ""
    local err = raises(keycycle.APIError, nil, client.chat.completions.create,
      say "mock:status=503 retry_after=3600")
    assert.same({ "overloaded", 503, 1, 3600 },
      { err.code, err.status, #err.attempts, err.retry_after })
  end)

  it("takes a refused key out and goes on with another", function()
    start("", { keys = { "sk-nobody-knows-this-one", KEYS[2] } })
    for _ = 1, 3 do
      assert.equal(2, keycycle.info(client.chat.completions:create(say())).key_index)
    end
    assert.equal(1, journal().auth_failed)
    assert.equal("suspended", manager:keys()[1].state)
    -- A minute later it is asked once more; then it is dead until the user says so.
    advance(61)
    for _ = 1, 4 do client.chat.completions:create(say()) end
    assert.equal(2, journal().auth_failed)
    assert.equal("invalid", manager:keys()[1].state)
    advance(3600)
    for _ = 1, 4 do client.chat.completions:create(say()) end
    assert.equal(2, journal().auth_failed)
  end)

  it("says so when every key is refused, and shows none", function()
    local keys = { "sk-nobody-knows-this-one", "sk-nobody-knows-that-one" }
    start("", { keys = keys })
    local err = raises(keycycle.InvalidKeyError, nil, client.chat.completions.create, say())
    assert.same({ 401, 2 }, { err.status, #err.attempts })
    for _, key in ipairs(keys) do
      assert.is_nil((tostring(err) .. err.body):find(key:sub(4, 16), 1, true))
    end
    err = raises(keycycle.InvalidKeyError, nil, client.chat.completions.create, say())
    assert.equal("no_key", err.code)
    assert.equal(2, journal().auth_failed)
  end)

  it("raises what another key would not help", function()
    start ""
    for status, code in pairs { [400] = "invalid_request",
      [404] = "not_found", [413] = "request_too_large", [422] = "invalid_request" } do
      local err = raises(keycycle.APIError, nil, client.chat.completions.create,
        say("mock:status=" .. status))
      assert.same({ code, status, 1 }, { err.code, err.status, #err.attempts })
      assert.truthy(err.body:find("server had an error", 1, true))
    end
    agrees()
  end)

  it("has one budget of attempts and one deadline", function()
    start("--rpm 0")
    local err = raises(keycycle.RateLimitError, nil, client.chat.completions.create, say(),
      { max_retries = 1 })
    assert.equal(2, #err.attempts)
    err = raises(keycycle.TimeoutError, nil, client.chat.completions.create, say(),
      { deadline = 0 })
    assert.equal("timeout", err.code)
  end)

  it("stays with a pinned key", function()
    start("--rpm 1")
    assert.equal(3, keycycle.info(client.chat.completions:create(say(),
      { key_id = 3, pin_key = true })).key_index)
    local err = raises(keycycle.NoAvailableKeyError, nil, client.chat.completions.create, say(),
      { key_id = 3, pin_key = true, wait = false })
    assert.same({ 3, 429 }, { err.attempts[1].key_index, err.attempts[1].status })
    assert.equal(1, keycycle.info(client.chat.completions:create(say(), { key_id = 3 })).key_index)
    agrees()
  end)

  it("asks the policy it is given", function()
    local seen
    start("", nil, { policy = function(failure)
      seen = failure
      return failure.attempt < 3 and "rotate" or "fail"
    end })
    local err = raises(keycycle.APIError, nil, client.chat.completions.create,
      say "mock:status=400")
    assert.equal(3, #err.attempts)
    assert.same({ 1, 2, 3 }, { err.attempts[1].key_index, err.attempts[2].key_index,
      err.attempts[3].key_index })
    assert.same({ "invalid_request", 400, "p", "gpt-4o-mini", 3, false },
      { seen.kind, seen.status, seen.provider, seen.model, seen.attempt, seen.streaming })
  end)
end)

describe("a stream", function()
  after_each(function()
    wrapper:stop()
    mock.stop()
  end)

  local function streamed(text)
    local request = say(text)
    request.stream = true
    return request
  end

  it("is read in a for loop and counted to the token", function()
    start ""
    local text = {}
    for chunk in client.chat.completions:create(streamed "one two three four five six") do
      text[#text + 1] = chunk.choices[1] and chunk.choices[1].delta.content or ""
    end
    assert.equal("You said: one two three four five six", table.concat(text))
    assert.is_true(#text > 3)
    agrees()
  end)

  it("knows its usage at its end", function()
    start ""
    local stream <close> = client.chat.completions:create(streamed())
    assert.equal("You said: hi", stream:text())
    assert.equal(journal().keys[1].total_tokens, keycycle.info(stream).usage.total_tokens)
    agrees()
  end)

  it("that is left early gives its key back and counts what was seen", function()
    start("--chunk-delay 5")
    for chunk in client.chat.completions:create(streamed(("word "):rep(300))) do
      if chunk.choices[1].delta.content ~= "" then break end
    end
    local total = manager:get_global_stats().total
    assert.equal(0, total.in_flight)
    assert.is_true(total.total_tokens > 0)
  end)

  it("goes to another key before its first content", function()
    start("--rpm 1", { selection = "fill_first" })
    client.chat.completions:create(say())
    local stream <close> = client.chat.completions:create(streamed())
    assert.equal(2, keycycle.info(stream).key_index)
    assert.same({ 429, 200 }, { keycycle.info(stream).attempts[1].status,
      keycycle.info(stream).attempts[2].status })
    assert.equal("You said: hi", stream:text())
    agrees()
  end)

  it("runs beside others, each in its task", function()
    start("--chunk-delay 1")
    local tasks = {}
    for i = 1, 12 do
      tasks[i] = function()
        if i % 2 == 0 then
          return client.chat.completions:create(say("n" .. i)).choices[1].message.content
        end
        return client.chat.completions:create(streamed("n" .. i)):text()
      end
    end
    for i, text in ipairs(keycycle.run(keycycle.gather, tasks)) do
      assert.equal("You said: n" .. i, text)
    end
    assert.equal(12, agrees())
  end)

  it("is ended by a cancelled task", function()
    start("--chunk-delay 5")
    local got = 0
    local t = keycycle.spawn(function()
      for _ in client.chat.completions:create(streamed(("word "):rep(300))) do got = got + 1 end
    end)
    while got < 3 do keycycle.step(1) end
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    -- The loop's to-be-closed stream went with the task.
    assert.equal(0, manager:get_global_stats().total.in_flight)
  end)
end)

describe("other paths", function()
  after_each(function()
    wrapper:stop()
    mock.stop()
  end)

  it("embed, list models, and reach what has no path", function()
    start ""
    local response = client.embeddings:create { model = "text-embedding-3-small",
      input = { "one", "two" } }
    assert.same({ 2, 8 }, { #response.data, #response.data[1].embedding })
    assert.equal("text-embedding-3-small", keycycle.info(response).model)
    local models = client.models:list()
    assert.equal("gpt-4o-mini", models.data[1].id)
    response = client:request { path = "/chat/completions", json = { model = "gpt-4o-mini",
      messages = say().messages } }
    assert.equal("You said: hi", response.choices[1].message.content)
    response = wrapper:get_rotating_client("p", { base_url = mock.root }):request {
      path = "/v1/chat/completions", json = { model = "m", messages = say().messages } }
    assert.is_number(keycycle.info(response).usage.total_tokens)
    response = client:request { path = "/models", query = { after = "a b&c" } }
    assert.equal("list", response.object)
    local err = raises(keycycle.APIError, nil, client.request, { path = "/nowhere" })
    assert.equal("not_found", err.code)
    agrees()
  end)

  it("leave out and fill in what they are told to", function()
    start("", { excluded_params = { "user" } })
    local request = say()
    request.user = "somebody"
    request.model = "gpt-4o"
    local response = client.chat.completions:create(request)
    assert.equal("gpt-4o", response.model)
    assert.equal("somebody", request.user)
  end)
end)

describe("what was used", function()
  it("is known to a second run, and held against the limits", function()
    local path = os.tmpname()
    mock = servers.mock("--keys " .. KEYS[1] .. " --rph 4")
    local function open()
      return keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. path }
        :register_provider("p", { base_url = mock.url, keys = { KEYS[1] },
          default_model = "gpt-4o-mini", limits = { requests_per_hour = 4 } })
    end
    local first = open()
    for _ = 1, 4 do first:get_rotating_client("p").chat.completions:create(say()) end
    local before = first:get_manager("p"):get_global_stats().total
    first:stop()
    local second <close> = open()
    local after = second:get_manager("p"):get_global_stats().total
    assert.same({ before.total_requests, before.total_tokens, before.rph, before.tph },
      { after.total_requests, after.total_tokens, after.rph, after.tph })
    raises(keycycle.NoAvailableKeyError, "requests_per_hour",
      second:get_rotating_client("p").chat.completions.create, say(), { wait = false })
    assert.equal(0, journal().keys[1].refused)
    mock.stop()
    for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
  end)
end)
