--- What a broken server can do to a call: each fault ends in a clear error of
--- the right class, the lease is settled, no key is shown.
local servers = require "tests.support.servers"
local keycycle = require "keycycle"

local KEY = "sk-test-0123456789abcdefghij"
local MODEL = "gpt-test"

local function call(base_url, request, opts)
  local wrapper <close> = keycycle.MultiClientWrapper.new {}
  wrapper:register_provider("broken", {
    base_url = base_url, keys = { KEY }, default_model = MODEL,
  })
  local client = wrapper:get_rotating_client("broken", { max_retries = 0 })
  request = request or {}
  request.messages = request.messages or { { role = "user", content = "hi" } }
  local ok, result = pcall(function()
    local stream = client.chat.completions:create(request, opts)
    if not request.stream then return stream end
    local text = {}
    for chunk in stream do
      text[#text + 1] = chunk.choices[1] and chunk.choices[1].delta.content or ""
    end
    return table.concat(text)
  end)
  local stats = wrapper:get_manager("broken"):get_global_stats()
  return ok, result, stats.total
end

local function dump(value, seen)
  seen = seen or {}
  if type(value) ~= "table" or seen[value] then return tostring(value) end
  seen[value] = true
  local out = { tostring(value) }
  for k, v in pairs(value) do
    out[#out + 1] = tostring(k) .. "=" .. dump(v, seen)
  end
  return table.concat(out, " ")
end

describe("a call to a broken server", function()
  local raw
  setup(function() raw = servers.raw() end)
  teardown(function() raw.stop() end)

  local function fails(path, class, code, request, opts)
    local ok, err, total = call(raw.url(path) .. "/v1", request, opts)
    assert.is_false(ok)
    assert.is_true(keycycle.is(err, class), tostring(err))
    if code then assert.equal(code, err.code, tostring(err)) end
    assert.equal(0, total.in_flight)
    assert.is_nil(dump(err):find(KEY, 1, true))
    assert.is_nil(dump(err):find("0123456789ab", 1, true))
    return err, total
  end

  it("says when the connection ends before the headers", function()
    fails("/cut-before-headers", keycycle.TransportError, "cut")
    fails("/cut-in-headers", keycycle.TransportError, "cut")
  end)

  it("says when the connection ends in the body", function()
    fails("/cut-in-body", keycycle.TransportError, "cut")
  end)

  it("says when the connection ends in an event of a stream", function()
    fails("/cut-in-event", keycycle.TransportError, "cut", { stream = true })
  end)

  it("says when the answer is no HTTP at all", function()
    fails("/garbage", keycycle.TransportError)
  end)

  it("gives up on a server that never answers", function()
    fails("/never", keycycle.TimeoutError, "timeout", nil, { request_timeout = 0.05 })
    fails("/never-body", keycycle.TimeoutError, "timeout", nil, { request_timeout = 0.05 })
    fails("/never", keycycle.TimeoutError, "timeout", { stream = true },
      { request_timeout = 0.05 })
  end)

  it("bounds headers, bodies and lines", function()
    fails("/header-bomb", keycycle.TransportError, "too_large")
    fails("/body-bomb", keycycle.TransportError, "too_large")
    fails("/endless-line", keycycle.TransportError, "too_large", { stream = true })
  end)

  it("does not take a page or nothing for an answer", function()
    local err = fails("/html-200", keycycle.TransportError, "garbage")
    assert.equal(200, err.status)
    fails("/empty-200", keycycle.TransportError, "garbage")
    fails("/bad-json", keycycle.TransportError, "garbage")
  end)

  it("finds an error inside a 200", function()
    local err = fails("/error-200", keycycle.KeycycleError)
    assert.equal(200, err.status)
  end)

  it("reads a null content as absent and a lone surrogate as U+FFFD", function()
    local ok, response = call(raw.url "/null-content" .. "/v1")
    assert.is_true(ok, tostring(response))
    assert.is_nil(response.choices[1].message.content)
    ok, response = call(raw.url "/lone-surrogate" .. "/v1")
    assert.is_true(ok, tostring(response))
    assert.truthy(response.choices[1].message.content:find("\u{FFFD}", 1, true))
  end)

  for value, most in pairs { ["-1"] = 60, soon = 60, ["1000000000000"] = 86400,
    ["Wed,%2021%20Oct%202015%2007:28:00%20GMT"] = 60 } do
    it("survives a Retry-After of " .. value, function()
      local ok, err = call(raw.url("/retry-after?v=" .. value .. "&") .. "/v1",
        nil, { timeout = 0 })
      assert.is_false(ok)
      assert.is_true(keycycle.is(err, keycycle.RateLimitError)
        or keycycle.is(err, keycycle.NoAvailableKeyError), tostring(err))
      assert.equal(429, err.status)
      if err.retry_after then
        assert.is_true(err.retry_after >= 0 and err.retry_after <= most)
      end
    end)
  end

  it("never repeats a key that the provider echoes", function()
    local err = fails("/echo-key", keycycle.InvalidKeyError)
    assert.equal(401, err.status)
    assert.truthy(err.body)
    err = fails("/html-echo", keycycle.TransportError, "garbage")
    assert.truthy(err.body:find("No route for ***", 1, true))
  end)

  it("never hands out a header that repeats the key", function()
    local core, task = require "keycycle.core", require "keycycle.task"
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("broken", { base_url = raw.url "/v1", keys = { KEY } })
    local lease <close> = wrapper:get_manager("broken"):get_key(MODEL)
    local sent <close> = core.call { method = "GET", url = raw.url "/echo-key", lease = lease,
      auth = { header = "authorization", value = "Bearer {api_key}" } }
    task.wait(sent)
    assert.equal("***", sent:headers()["x-token"])
    assert.equal("1, 2", sent:headers()["x-a"])
    assert.equal("***", sent:header "x-token")
    assert.is_nil(sent:header "x-none")
  end)

  it("tells of a request that went out again because a kept connection died", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("broken", { base_url = raw.url "/ok", keys = { KEY },
      default_model = MODEL })
    local client = wrapper:get_rotating_client("broken", { max_retries = 0 })
    local response = client.chat.completions:create { messages = {} }
    assert.is_nil(keycycle.info(response).attempts[1].sends)
    local ok, err = pcall(client.chat.completions.create, { messages = {} },
      { base_url = raw.url "/cut-before-headers" })
    assert.same({ false, "cut", 2 }, { ok, err.code, err.attempts[1].sends })
  end)

  it("does not follow a redirect to another host", function()
    fails("/redirect-other", keycycle.APIError)
  end)

  it("reads streams in every shape", function()
    for _, mode in ipairs { "cr", "lf", "crlf", "bom", "comments", "multiline", "split" } do
      local ok, text = call(raw.url("/sse?mode=" .. mode .. "&") .. "/v1", { stream = true })
      assert.is_true(ok, mode .. ": " .. tostring(text))
      assert.is_true(#text > 0, mode)
    end
  end)

  it("reads a compressed answer", function()
    local ok, response = call(raw.url "/gzip" .. "/v1")
    assert.is_true(ok, tostring(response))
    assert.truthy(response.choices)
  end)

  it("stops a stream that floods as soon as its reader does", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("flood", {
      base_url = raw.url "/flood" .. "/v1", keys = { KEY }, default_model = MODEL,
    })
    local client = wrapper:get_rotating_client "flood"
    local seen = 0
    for _ in client.chat.completions:create {
      stream = true, messages = { { role = "user", content = "hi" } },
    } do
      seen = seen + 1
      if seen == 100 then break end
    end
    assert.equal(0, wrapper:get_manager("flood"):get_global_stats().total.in_flight)
  end)
end)

describe("a server that cannot be reached", function()
  it("is named when it refuses the connection", function()
    local ok, err = call("http://127.0.0.1:1/v1")
    assert.is_false(ok)
    assert.is_true(keycycle.is(err, keycycle.TransportError))
    assert.equal("connect", err.code)
  end)

  it("gives the key back when the name is not known", function()
    local ok, err, total = call("https://keycycle-no-such-host.invalid/v1")
    assert.is_false(ok)
    assert.equal("resolve", err.code)
    assert.equal(0, total.rpm)
  end)
end)
