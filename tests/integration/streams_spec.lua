--- How streams end and wait, over real connections: however one is left, its transfer
--- stops and its lease is settled once; time-outs, backpressure, streams that nobody
--- reads.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"
local servers = require "tests.support.servers"

local KEY = "sk-test-0123456789abcdefghij"

-- /hold waits after its first content, /told too, having said what it used; /big has a
-- whole answer that is larger than what is queued; all else is a whole answer.
local SERVER = [[
local function event(delta, more)
  return 'data: {"choices":[{"index":0,"delta":' .. delta .. "}]" .. (more or "") .. "}\n\n"
end
local role, hi = event '{"role":"assistant","content":""}', event '{"content":"Hi there"}'
local told = event('{"content":"!"}', ',"usage":{"prompt_tokens":7,"completion_tokens":5}')
local stop = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":'
  .. '{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}\n\ndata: [DONE]\n\n'
local big = event('{"content":"' .. ("x"):rep(1000) .. '"}'):rep(2000)
return function(request)
  local name = request.path:match "^/([^/]+)"
  local pieces = { role, hi, stop }
  if name == "hold" then pieces = { role, hi, false, stop } end
  if name == "told" then pieces = { role, hi, told, false, stop } end
  if name == "big" then pieces = { role, big, stop } end
  return 200, { ["content-type"] = "text/event-stream" }, pieces
end
]]

local server, raw, clock, wrapper, client, manager
local request = { stream = true, messages = { { role = "user", content = "hi" } } }

setup(function()
  server, raw = servers.canned(SERVER), servers.raw()
end)
teardown(function()
  server.stop()
  raw.stop()
end)

local function start(limits)
  clock = keycycle.clock.manual(1e9)
  wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  wrapper:register_provider("p", { base_url = server.url, keys = { KEY }, default_model = "m",
    limits = limits })
  client, manager = wrapper:get_rotating_client("p", { max_retries = 0 }), wrapper:get_manager "p"
end

local function open(name, opts)
  opts = opts or {}
  opts.base_url = opts.base_url or server.url .. "/" .. name
  return client.chat.completions:create(request, opts)
end

local function step_until(done)
  for _ = 1, 1000 do
    if done() then return end
    keycycle.step(0.02)
  end
  error "it never happened"
end

local function until_done(t)
  step_until(function() return t.done end)
  return t
end

local function said(chunk)
  return chunk.choices[1] and chunk.choices[1].delta.content or ""
end

-- Nothing is left of `count` requests; what was settled is what the stream says.
local function settled(count, info)
  local total = manager:get_global_stats().total
  assert.same({ count, 0 }, { total.total_requests, total.in_flight })
  if info then assert.equal(info.usage.total_tokens, total.total_tokens) end
  assert.equal(0, core.pending())
end

local function leave(how)
  local stream = open "hold"
  local function read()
    for chunk in stream, nil, nil, stream do
      if said(chunk) ~= "" then
        if how == "break" then break end
        if how == "return" then return end
        if how == "goto" then goto out end
        error "in the body"
      end
    end
    ::out::
  end
  assert.equal(how ~= "error", (pcall(read)))
  return keycycle.info(stream)
end

describe("a stream that is left", function()
  before_each(function() start() end)
  after_each(function() wrapper:stop() end)

  for _, how in ipairs { "break", "return", "goto", "error" } do
    it("by " .. how .. " is settled by what was seen", function()
      local info = leave(how)
      settled(1, info)
      assert.same({ 2, true }, { info.usage.output_tokens, info.usage.estimated })
    end)
  end

  it("is settled by the provider's figure where it was told", function()
    local stream <close> = open "told"
    for _ = 1, 3 do stream() end
    stream:close()
    local info = keycycle.info(stream)
    assert.same({ 7, 5, 12 }, { info.usage.input_tokens, info.usage.output_tokens,
      info.usage.total_tokens })
    assert.is_nil(info.usage.estimated)
    settled(1, info)
  end)

  it("is closed by <close> and by hand, and says nothing more", function()
    do
      local stream <close> = open "hold"
      stream()
    end
    settled(1)
    local stream = open "hold"
    stream:close()
    stream:close()
    assert.is_nil((stream()))
    assert.equal("", stream:text())
    settled(2)
  end)

  it("is closed in a task without a wait", function()
    local turns = 0
    local t = keycycle.spawn(function()
      local stream = open "hold"
      local before = turns
      stream:close()
      return turns - before
    end)
    while not t.done do
      turns = turns + 1
      keycycle.step(1)
    end
    assert.equal(0, t:await())
    settled(1)
  end)

  it("and collected is closed, while a task waits in another one, too", function()
    open("hold")()
    collectgarbage()
    collectgarbage()
    settled(1)
    local got = {}
    local reader = keycycle.spawn(function()
      for chunk in open "hold" do got[#got + 1] = said(chunk) end
    end)
    local dropper = keycycle.spawn(function() open("hold")() end)
    step_until(function() return #got == 2 and dropper.done end)
    collectgarbage()
    collectgarbage()
    assert.equal(1, manager:get_global_stats().total.in_flight)
    server.release()
    reader:await()
    assert.equal("Hi there", table.concat(got))
    settled(3)
  end)
end)

describe("a stream of a task that is cancelled", function()
  before_each(function() start() end)
  after_each(function() wrapper:stop() end)

  it("is closed at its wait, in a loop and without one", function()
    local streams, got = {}, 0
    local tasks = { keycycle.spawn(function()
      streams[1] = open "hold"
      for _ in streams[1] do got = got + 1 end
    end), keycycle.spawn(function()
      streams[2] = open "hold"
      while streams[2]:next() do got = got + 1 end
    end) }
    step_until(function() return got == 4 end)
    for _, t in ipairs(tasks) do t:cancel() end
    for _, t in ipairs(tasks) do raises(keycycle.CancelledError, nil, t.await, until_done(t)) end
    settled(2)
    assert.is_true(keycycle.info(streams[2]).usage.estimated)
    assert.is_nil((streams[2]()))
  end)

  it("before its first content gives its key back", function()
    local t = keycycle.spawn(open, "hold", { base_url = raw.url "/never" })
    for _ = 1, 3 do keycycle.step(0.01) end
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    settled(1)
  end)
end)

describe("the stop of a wrapper", function()
  before_each(function() start() end)

  it("ends its streams: the reader is told, once", function()
    local stream = open "hold"
    assert.equal("", said(stream()))
    wrapper:stop()
    assert.equal(0, core.pending())
    assert.is_true(keycycle.info(stream).usage.total_tokens > 0)
    assert.equal("Hi there", said(stream())) -- it was here already
    local err = raises(keycycle.KeycycleError, "the wrapper was stopped", stream)
    assert.equal("closed", err.code)
    assert.is_nil((stream()))
  end)

  it("wakes a task that waits in one", function()
    local got = 0
    local t = keycycle.spawn(function()
      for _ in open "hold" do got = got + 1 end
    end)
    step_until(function() return got == 2 end)
    local early = keycycle.spawn(open, "whole")
    keycycle.step(0) -- it is sent, no more
    wrapper:stop()
    assert.equal("closed", raises(keycycle.KeycycleError, nil, t.await, until_done(t)).code)
    assert.equal("closed", raises(keycycle.KeycycleError, nil, early.await, until_done(early)).code)
    assert.equal(0, core.pending())
  end)
end)

describe("idle_timeout", function()
  before_each(function() start() end)
  after_each(function() wrapper:stop() end)

  it("is raised to the reader and settled", function()
    local stream = open("hold", { idle_timeout = 0.02 })
    local texts = {}
    local err = raises(keycycle.TimeoutError, "idle_timeout", function()
      for chunk in stream do texts[#texts + 1] = said(chunk) end
    end)
    assert.same({ "timeout", "Hi there", 1 },
      { err.code, table.concat(texts), #err.attempts })
    settled(1, keycycle.info(stream))
  end)

  it("before the first content is a failed attempt", function()
    local err = raises(keycycle.TimeoutError, nil, open, "hold",
      { idle_timeout = 0.02, base_url = raw.url "/never" })
    assert.equal("timeout", err.code)
    settled(1)
  end)

  it("does not take a slow reader for a silent provider", function()
    local stream = open("big", { idle_timeout = 0.1 })
    assert.is_table(stream())
    keycycle.sleep(0.15)
    assert.equal(2000000, #stream:text())
  end)
end)

-- Kilobytes that are resident.
local function resident()
  local f <close> = assert(io.open "/proc/self/statm")
  return tonumber(f:read "a":match "%d+ (%d+)") * 4
end

describe("a stream that is not read", function()
  after_each(function() wrapper:stop() end)

  it("pauses, takes no memory and holds nobody up", function()
    start()
    local stream <close> = open("flood", { base_url = raw.url "/flood" })
    stream()
    local before = resident()
    for _ = 1, 20 do
      keycycle.step(0.002)
      assert.equal("Hi there", open "whole":text())
    end
    assert.is_true(resident() - before < 4096)
    for _ = 1, 3500 do assert.is_table(stream()) end -- more than was queued
  end)

  it("holds no place once its answer is here, and is counted when it is read", function()
    start { concurrent_requests = 1 }
    local kept = open "whole"
    local again = keycycle.spawn(open, "whole", { timeout = 100 })
    until_done(again):await():close()
    assert.equal(1, manager:get_global_stats().total.in_flight)
    assert.equal("Hi there", kept:text())
    assert.equal(9, keycycle.info(kept).usage.total_tokens)
    settled(2)
  end)

  it("holds no place once its provider is silent for too long", function()
    start { concurrent_requests = 1 }
    local kept = open("hold", { idle_timeout = 0.02 })
    local again = keycycle.spawn(open, "whole", { timeout = 100 })
    until_done(again):await():close()
    raises(keycycle.TimeoutError, nil, kept.text, kept)
    settled(2)
  end)

  it("holds its place for no longer than a lease lives, where it is paused", function()
    start { concurrent_requests = 1 }
    local kept = open "big"
    local again = keycycle.spawn(open, "whole", { timeout = 1000 })
    for _ = 1, 10 do keycycle.step(0.005) end
    assert.is_false(again.done)
    clock:advance(601)
    until_done(again):await():close()
    -- Read much later it still ends well.
    assert.equal(2000000, #kept:text())
    assert.equal(9, keycycle.info(kept).usage.total_tokens)
    assert.equal(0, core.pending())
  end)
end)
