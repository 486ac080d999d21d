--- Our clients beside aimock when it refuses and breaks: limits, dead keys, server
--- errors, bodies that are no JSON, streams that end too early, for each provider.
local keycycle = require "keycycle"
local dialects = require "tests.peers.dialects"
local raises = require "tests.support.raises"
local session = require "tests.peers.session"
local servers = require "tests.support.servers"

local KEYS, DEAD = session.KEYS, "sk-nobody-knows-this-one"
local TOKENS = 31 + 12 -- of an answer, by the fixtures
local WHOLE = "whole at the second try"
local CUT = "one two three four five six seven eight nine ten eleven twelve"

local function journal_statuses(mock)
  local list = {}
  for i, request in ipairs(mock.journal()) do list[i] = request.response.status end
  return list
end

local function states(s)
  local list = {}
  for i, key in ipairs(s.manager:keys()) do list[i] = key.state end
  return list
end

local function refuses(mock, name)
  local s
  before_each(function() s = session.open(mock(), name) end)
  after_each(function() s.wrapper:stop() end)

  it("goes to the next key when one is limited, and lets that one cool", function()
    local response = s:ask "limited once"
    assert.equal("The second key was free.", s.dialect.text(response))
    local info = keycycle.info(response)
    assert.same({ 429, 200 }, session.statuses(info.attempts))
    assert.same({ 1, 2 }, { info.attempts[1].key_index, info.attempts[2].key_index })
    assert.same({ "cooling", "ready" }, states(s))
    assert.same({ 2, TOKENS, 0 }, s:totals())
    assert.same({ 429, 200 }, journal_statuses(mock()))
    s.clock:advance(29)
    assert.equal("cooling", states(s)[1])
    assert.equal(2, keycycle.info(s:ask "hello").key_index)
    s.clock:advance(2)
    assert.equal("probing", states(s)[1]) -- its next call will tell
  end)

  it("goes to the next key for a stream, too", function()
    local stream <close> = s:stream "limited once"
    assert.equal("The second key was free.", stream:text())
    assert.same({ 429, 200 }, session.statuses(keycycle.info(stream).attempts))
    assert.same({ "cooling", "ready" }, states(s))
    assert.same({ 2, TOKENS, 0 }, s:totals())
  end)

  it("says so when all keys are limited, and asks no more until they are not", function()
    local err = raises(keycycle.RateLimitError, nil, s.ask, s, "always limited",
      { max_retries = 1 })
    assert.same({ "rate_limited", 429, 30 }, { err.code, err.status, err.retry_after })
    assert.same({ 429, 429 }, session.statuses(err.attempts))
    assert.truthy(err.message:find("Rate limit reached", 1, true))
    assert.same({ "cooling", "cooling" }, states(s))
    err = raises(keycycle.NoAvailableKeyError, nil, s.ask, s, "hello", { wait = false })
    assert.equal("limited", err.code)
    assert.is_true(err.retry_after > 0)
    assert.same({ 429, 429 }, journal_statuses(mock()))
    assert.same({ 2, 0, 0 }, s:totals())
  end)

  it("asks a broken server again", function()
    local info = keycycle.info(s:meanwhile(function() return s:ask "broken once" end))
    assert.same({ 500, 200 }, session.statuses(info.attempts))
    assert.equal(info.attempts[1].key_index, info.attempts[2].key_index)
    assert.same({ 500, 200 }, journal_statuses(mock()))
    assert.same({ "ready", "ready" }, states(s))
    assert.equal(0, s:totals()[3])
  end)

  it("does not repeat what is not understood", function()
    local err = raises(keycycle.APIError, "Nobody understands this", s.ask, s, "not understood")
    assert.same({ "invalid_request", 400, 1 }, { err.code, err.status, #err.attempts })
    assert.same({ 400 }, journal_statuses(mock()))
    assert.equal(0, s:totals()[3])
  end)

  it("does not take for an answer what is no JSON", function()
    for _, way in ipairs { "ask", "stream" } do
      local err = raises(keycycle.TransportError, nil, s[way], s, "no json")
      assert.same({ "garbage", 200 }, { err.code, err.status })
      assert.truthy(err.body:find("malformed", 1, true))
    end
    assert.same({ 200, 200 }, journal_statuses(mock()))
    assert.equal(0, s:totals()[3])
  end)

  it("says when the server hangs up without a word", function()
    for _, way in ipairs { "ask", "stream" } do
      local err = raises(keycycle.TransportError, nil, s[way], s, "hung up", { max_retries = 0 })
      assert.equal("cut", err.code)
    end
    assert.equal(0, s:totals()[3])
  end)
end

local function streams_break(mock, name)
  local s
  before_each(function() s = session.open(mock(), name) end)
  after_each(function() s.wrapper:stop() end)

  it("raises to the reader when a stream is cut in the middle, and counts what came", function()
    local stream <close> = s:stream "cut in the middle"
    assert.equal(1, s:totals()[3])
    local said = {}
    local err = raises(keycycle.TransportError, nil, function()
      for chunk in stream do said[#said + 1] = s.dialect.said(chunk) end
    end)
    assert.same({ "cut", 1 }, { err.code, #err.attempts })
    local text = table.concat(said)
    assert.is_true(#text > 0 and #text < #CUT)
    assert.equal(CUT:sub(1, #text), text)
    local total = s:totals()
    assert.same({ 1, 0 }, { total[1], total[3] })
    assert.is_true(total[2] > 0)
    assert.equal(total[2], keycycle.info(stream).usage.total_tokens)
    assert.equal("truncateAfterChunks", mock().journal()[1].response.interruptReason)
    assert.is_nil(stream()) -- it is over
  end)

  local function is_retried(text, status)
    local stream <close> = s:meanwhile(function() return s:stream(text) end)
    assert.equal(WHOLE, stream:text())
    if status then
      local attempts = keycycle.info(stream).attempts
      assert.same({ status, 200 }, session.statuses(attempts))
      assert.equal("server", attempts[1].kind)
    end
    local journal = mock().journal()
    assert.same({ 2, "disconnectAfterMs" }, { #journal, journal[1].response.interruptReason })
    assert.equal(0, s:totals()[3])
  end

  it("tries again when it is cut before its head", function()
    -- By us or by libcurl, which does so itself where a kept connection goes silently.
    is_retried "cut before the head"
  end)

  -- Where the first event has text already, nothing comes between the two.
  if not dialects[name].talks_at_once then
    it("tries again when it is cut between its head and its first text", function()
      is_retried("cut after the head", 200)
    end)
  end
end

describe("aimock, where it refuses", function()
  local mock
  local function get() return mock end
  setup(function() mock = servers.aimock "tests/peers/fixtures" end)
  teardown(function() mock.stop() end)
  before_each(function() mock.forget() end)

  for _, name in ipairs(session.names()) do
    describe(name, function()
      refuses(get, name)
      streams_break(get, name)
    end)
  end
end)

describe("aimock, where it asks for keys", function()
  local mock
  setup(function()
    mock = servers.aimock("tests/peers/fixtures",
      ("AIMOCK_API_KEYS=%s,%s"):format(KEYS[1], KEYS[2]))
  end)
  teardown(function() mock.stop() end)
  before_each(function() mock.forget(KEYS[1]) end)

  for _, name in ipairs(session.names()) do
    it("knows both keys of " .. name .. ", which take turns", function()
      local s <close> = session.open(mock, name, { selection = "round_robin" })
      local used = {}
      for i = 1, 4 do used[i] = keycycle.info(s:ask "hello").key_index end
      assert.same({ 1, 2, 1, 2 }, used)
      assert.equal(4, #mock.journal(KEYS[1]))
      assert.same({ 4, 4 * TOKENS, 0 }, s:totals())
    end)

    it("has a dead key of " .. name .. " taken out, and the live one used", function()
      local s <close> = session.open(mock, name, { keys = { DEAD, KEYS[2] } })
      local info = keycycle.info(s:ask "hello")
      assert.same({ 401, 200 }, session.statuses(info.attempts))
      assert.same({ "suspended", "ready" }, states(s))
      local stream <close> = s:stream "hello"
      assert.same({ 200 }, session.statuses(keycycle.info(stream).attempts))
      assert.is_true(#stream:text() > 0)
      assert.equal(0, s:totals()[3])
      assert.equal(2, #mock.journal(KEYS[1])) -- it writes down no more than it lets in
    end)

    it("leaves none of " .. name .. " where both are dead, and none is shown", function()
      local s <close> = session.open(mock, name, { keys = { DEAD, DEAD .. "-2" } })
      for _, way in ipairs { "stream", "ask" } do
        local err = raises(keycycle.InvalidKeyError, nil, s[way], s, "hello")
        assert.is_nil((tostring(err) .. (err.body or "")):find(DEAD:sub(4, 16), 1, true))
      end
      assert.same({ "suspended", "suspended" }, states(s))
      assert.same({ 2, 0, 0 }, s:totals())
    end)
  end
end)
