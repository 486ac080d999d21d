--- The functions in users' scripts, run in the box while real calls are made: what each
--- does well holds, and what it does wrong costs no answer, no lease and no figure.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEYS = { "own-aaaaaaaaaaaaaaaa-1", "own-bbbbbbbbbbbbbbbb-2" }

-- Each function is told by what it is given how to behave.
local SCRIPTS = {
  ["providers/hooked.lua"] = [[
local function misbehave(how)
  if how == "raise" then error "on purpose" end
  while how == "loop" do end
  if how == "hoard" then local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end
  if how == "wrong" then return "nonsense" end
  if how then error("got: " .. how) end
end
return keycycle.provider {
  name = "hooked", extends = "openai_compatible", base_url = "https://hooked.test",
  routes = {
    check = { method = "GET", path = "/models" },
    ask = { method = "POST", path = "/ask", protocol = "plain", model = true },
    ["chat.completions.create"] = { method = "POST", path = "/chat", protocol = "chat",
      model = true },
    own = { method = "POST", path = "/own", protocol = "own", model = true },
  },
  usage = function(body)
    if body.usage_is == "good" then return { input_tokens = 70, output_tokens = 7 } end
    return misbehave(body.usage_is)
  end,
  estimate = function(request)
    if request.estimate_is == "good" then return 5000 end
    return misbehave(request.estimate_is)
  end,
  classify = function(answer)
    local how = answer.body and answer.body.classify_is
    if how == "good" then return { kind = "payment", scope = "key" } end
    return misbehave(how)
  end,
  protocols = { chat = "openai_chat", plain = {}, own = {
    decode = function(body)
      if body.decode_is == "good" then return { usage = { total_tokens = 55 } } end
      return misbehave(body.decode_is)
    end,
    event = function(kind, data, state)
      local how = data.event_is
      state.seen = (state.seen or 0) + 1
      if how == "good" or not how then
        return { text = data.text, done = data.last, usage = { total_tokens = 10 * state.seen } }
      elseif how == "odd" then
        return { text = 5, done = "yes" }
      end
      return misbehave(how)
    end,
    estimate = function(request) return misbehave(request.estimate_is) end,
  } },
}]],
  ["policies/hooked.lua"] = [[
return keycycle.policy { name = "hooked", decide = function(failure)
  if failure.model == "good" then return "fail" end
  if failure.model == "raise" then error "on purpose" end
  while failure.model == "loop" do end
  return "nonsense"
end }]],
  ["limits/limited.lua"] = [[
return function(model, key)
  if model == "good" then return { requests_per_minute = 3 } end
  if model == "raise" then error "on purpose" end
  while model == "loop" do end
  return model == "wrong" and { requests_per_minit = 3 } or nil
end]],
  ["providers/limited.lua"] = [[
return keycycle.provider { name = "limited", extends = "openai_compatible",
  base_url = "https://limited.test" }]],
}

-- It says what it was asked to, with the words for the functions on top.
local ANSWERS = [[
  local json = require "keycycle".json
  return function(request)
    local asked = json.decode(request.body)
    local out = { usage_is = asked.usage_is, decode_is = asked.decode_is,
      classify_is = asked.classify_is, usage = { prompt_tokens = 3, completion_tokens = 4,
        total_tokens = 7 },
      choices = { { message = { content = "fine" }, finish_reason = "stop" } } }
    if asked.status and request.key:find "1$" then
      out.choices, out.error = nil, { message = "refused" }
      return asked.status, {}, json.encode(out)
    elseif asked.stream then
      local first = json.encode { text = "a", event_is = asked.event_is }
      return 200, { ["content-type"] = "text/event-stream" }, { "data: " .. first .. "\n\n",
        'data: {"text":"b"}\n\n', 'data: {"text":"c","last":true}\n\n' }
    end
    return 200, {}, json.encode(out)
  end]]

local server, folder, remove, wrapper, client, manager, lines

local function start(name, config, opts)
  wrapper = keycycle.MultiClientWrapper.new { scripts = folder }
  local all = { keys = KEYS, base_url = server.url, selection = "fill_first" }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider(name, all)
  client, manager = wrapper:get_rotating_client(name, opts), wrapper:get_manager(name)
end

local function ask(given)
  local request = { model = "m", messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(given) do request[k] = v end
  return request
end

local function total() return manager:get_global_stats().total end

-- One warning, which names whose function it was; a second call adds none.
local function warned(word, again)
  assert.equal(1, #lines, table.concat(lines, "\n"))
  assert.truthy(lines[1]:find(word, 1, true), lines[1])
  again()
  assert.equal(1, #lines, table.concat(lines, "\n"))
end

setup(function() server = servers.canned(ANSWERS) end)
teardown(function() server.stop() end)
before_each(function()
  folder, remove = files.scripts(SCRIPTS)
  lines = {}
  keycycle.log.set_sink(function(level, line)
    if level == "warn" then lines[#lines + 1] = line end
  end)
end)
after_each(function()
  keycycle.log.set_sink(nil)
  wrapper:stop()
  remove()
  keycycle.reload()
end)

describe("a script's usage", function()
  it("is what its function says", function()
    start "hooked"
    local answer = client.chat.completions:create(ask { usage_is = "good" })
    assert.equal(77, keycycle.info(answer).usage.total_tokens)
    assert.same({ 77, {} }, { total().total_tokens, lines })
  end)

  for _, how in ipairs { "raise", "loop", "hoard", "wrong" } do
    it("is its protocol's where its function does this: " .. how, function()
      start "hooked"
      local function call()
        local answer = client.chat.completions:create(ask { usage_is = how })
        assert.equal("fine", answer.choices[1].message.content)
        assert.equal(7, keycycle.info(answer).usage.total_tokens)
      end
      call()
      warned("usage extractor of hooked", call)
      assert.same({ 14, 0 }, { total().total_tokens, total().in_flight })
    end)
  end

  it("is what its protocol decodes, or unknown", function()
    start "hooked"
    assert.equal(55, keycycle.info(client:own(ask { decode_is = "good" })).usage.total_tokens)
    for i, how in ipairs { "raise", "wrong" } do
      local answer = client:own(ask { decode_is = how }, { estimated_tokens = 9 })
      assert.equal("fine", answer.choices[1].message.content)
      assert.is_nil(keycycle.info(answer).usage)
      assert.same({ 55 + 9 * i, 0 }, { total().tpm, total().in_flight })
    end
    warned("protocol of hooked", function() client:own(ask { decode_is = "loop" }) end)
  end)
end)

describe("a script's estimate", function()
  it("is reserved where it is one, else its protocol's is", function()
    start("hooked", { limits = { tokens_per_minute = 4000 } })
    local function create(how)
      return client.chat.completions.create(ask { estimate_is = how, max_tokens = 20 })
    end
    assert.equal("impossible", raises(keycycle.RateLimitError, nil, create, "good").code)
    assert.same({}, lines)
    for _, how in ipairs { "raise", "wrong", "loop" } do
      assert.equal("fine", create(how).choices[1].message.content)
    end
    warned("hooked: estimate", function() create "raise" end)
    assert.equal("fine", client:own(ask { estimate_is = "raise" }).choices[1].message.content)
    assert.equal(0, total().in_flight)
  end)
end)

describe("a script's verdict", function()
  local function refusal(how, status)
    local err = raises(keycycle.KeycycleError, nil, client.chat.completions.create,
      ask { classify_is = how, status = status }, { max_retries = 0 })
    return err.code
  end

  it("is what its function says", function()
    start "hooked"
    assert.equal("payment", refusal("good", 418))
    assert.equal("exhausted", manager:keys()[1].state)
    assert.same({}, lines)
  end)

  for _, how in ipairs { "raise", "loop", "wrong" } do
    it("is the rules' where its function does this: " .. how, function()
      start "hooked"
      assert.equal("invalid_request", refusal(how, 418))
      warned("classify", function() assert.equal("invalid_request", refusal(how, 422)) end)
      assert.same({ 2, 0 }, { total().total_requests, total().in_flight })
    end)
  end
end)

describe("a script that raises what it was given", function()
  it("puts no key into the log", function()
    start "hooked"
    client.chat.completions:create(ask({ usage_is = KEYS[1] .. "\n" .. KEYS[1] }))
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("got: ", 1, true), lines[1])
    assert.is_nil(lines[1]:find(KEYS[1], 1, true), lines[1])
    assert.is_nil(lines[1]:find("\n", 1, true))
  end)
end)

describe("a script's events", function()
  local function read(how)
    local stream <close> = client:own(ask { stream = true, event_is = how })
    local texts = {}
    for event in stream do texts[#texts + 1] = event.text end
    return table.concat(texts), keycycle.info(stream).usage
  end

  it("are read with what it notes", function()
    start "hooked"
    local text, used = read "good"
    assert.same({ "abc", 30 }, { text, used.total_tokens })
    assert.same({ 30, 0, {} }, { total().total_tokens, total().in_flight, lines })
  end)

  for _, how in ipairs { "raise", "loop", "wrong", "odd" } do
    it("come as they are where its function does this: " .. how, function()
      start "hooked"
      local text, used = read(how)
      assert.equal("abc", text)
      assert.is_true(used.estimated)
      warned("protocol of hooked", function() assert.equal("abc", (read(how))) end)
      assert.same({ 2, 0 }, { total().total_requests, total().in_flight })
    end)
  end
end)

describe("a script's policy", function()
  it("decides", function()
    start("hooked", { policy = "hooked" })
    raises(keycycle.RateLimitError, nil, client.chat.completions.create,
      ask { model = "good", status = 429 })
    assert.equal(1, total().total_requests)
  end)

  for _, how in ipairs { "raise", "loop", "wrong" } do
    it("is the default where it does this: " .. how, function()
      start("hooked", { policy = "hooked" })
      local function call()
        local answer = client.chat.completions:create(ask { model = how, status = 401 })
        assert.equal("fine", answer.choices[1].message.content)
      end
      call()
      warned("policy hooked", function()
        manager:reset(1)
        call()
      end)
      assert.equal(0, total().in_flight)
    end)
  end
end)

describe("a script's limits", function()
  it("are asked for by key and model, and are none where the function fails", function()
    start("limited", nil, { wait = false })
    local function limits(model)
      client.chat.completions:create(ask { model = model })
      return (manager:explain(model)[1].limits or {}).requests_per_minute
    end
    assert.equal(3, limits "good")
    assert.is_nil(limits "none")
    assert.same({}, lines)
    for _, how in ipairs { "raise", "wrong", "loop" } do assert.is_nil(limits(how)) end
    warned("limits", function() end)
  end)
end)

describe("a script that runs over its bounds again and again", function()
  it("is not called any more, which the log tells, until it is loaded anew", function()
    start "hooked"
    for _ = 1, 3 do client.chat.completions:create(ask { usage_is = "loop" }) end
    assert.equal(2, #lines)
    assert.truthy(lines[2]:find("hooked.lua: its usage is not called any more", 1, true), lines[2])
    local answer = client.chat.completions:create(ask { usage_is = "good" })
    assert.equal(7, keycycle.info(answer).usage.total_tokens)
    local text = SCRIPTS["providers/hooked.lua"] .. "\n"
    files.put(folder .. "/providers/hooked.lua", text)
    keycycle.reload()
    answer = client.chat.completions:create(ask { usage_is = "good" })
    assert.equal(77, keycycle.info(answer).usage.total_tokens)
  end)
end)
