local keycycle = require "keycycle"
local foreign = require "tests.support.foreign"
local raises = require "tests.support.raises"

local KEYS, HOUR = foreign.KEYS, foreign.HOUR

local function chunk(text, usage)
  return { choices = { { delta = { content = text } } }, usage = usage }
end

describe("a stream of another's client", function()
  local wrapper, total, state_of, client_of
  before_each(function()
    local opened = foreign.open()
    wrapper, total, state_of = opened.wrapper, opened.total, opened.state_of
    client_of = opened.client_of
  end)
  after_each(function() wrapper:stop() end)

  -- Steps through a list; an error in it is raised.
  local function stepper(list)
    local i = 0
    return function()
      i = i + 1
      if type(list[i]) == "table" and list[i].raise then error(list[i].raise, 0) end
      return list[i]
    end
  end

  it("holds its lease to the end and counts what its chunks say", function()
    local client = client_of(function()
      return stepper { chunk "a", chunk "b", chunk("", { total_tokens = 9 }) }
    end)
    local texts = {}
    for piece in client:ask() do
      texts[#texts + 1] = piece.choices[1].delta.content
      assert.equal(1, total().in_flight)
    end
    assert.same({ "a", "b", "" }, texts)
    assert.same({ 9, 0 }, { total().total_tokens, total().in_flight })
  end)

  it("is counted by what was seen where nothing else tells", function()
    local client = client_of(function() return stepper { ("x"):rep(40), ("y"):rep(41) } end)
    local stream = client:ask()
    while stream() do end
    assert.equal(21, total().total_tokens)
    assert.same({ 21, true }, { keycycle.info(stream).usage.total_tokens,
      keycycle.info(stream).usage.estimated })
  end)

  it("passes on all values of a step, and the state and control of a `for`", function()
    local client = client_of(function()
      return function(state, i)
        if i < #state then return i + 1, state[i + 1], nil end
      end, { "a", "b" }, 0
    end)
    local seen = {}
    for i, value in client:ask() do seen[i] = value end
    assert.same({ "a", "b" }, seen)
    assert.equal(0, total().in_flight)
  end)

  it("is settled when it is left, closing what the client wanted closed", function()
    local closed = 0
    local closing = setmetatable({}, { __close = function() closed = closed + 1 end,
      __metatable = "hidden" })
    local client = client_of(function()
      return stepper { chunk "abcdefgh", chunk "i", chunk "j" }, nil, nil, closing
    end)
    for _ in client:ask() do break end -- luacheck: ignore 512
    assert.same({ 1, 0, 2 }, { closed, total().in_flight, total().total_tokens })
    for _ in client:ask() do end -- luacheck: ignore 542
    assert.equal(2, closed)
    assert.has_error(function()
      for _ in client:ask() do error "mine" end
    end)
    assert.same({ 3, 0 }, { closed, total().in_flight })
  end)

  it("is settled when it is collected", function()
    local client = client_of(function() return stepper { "a", "b" } end)
    local stream = client:ask()
    assert.equal(1, total().in_flight, tostring(stream))
    stream = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.equal(0, total().in_flight)
  end)

  it("goes to another key where its first step fails", function()
    for _, list in ipairs { { { raise = { status = 429, headers = HOUR } } },
      { { raise = "HTTP 429: retry after 3600 s" } } } do
      wrapper:get_manager("p"):reset(1)
      local client = client_of(function(key)
        return stepper(key == KEYS[1] and list or { "a", "b" })
      end)
      local stream = client:ask()
      assert.equal("exhausted", state_of(1))
      assert.same({ "a", "b", nil }, { stream(), stream(), stream() })
      assert.equal(2, keycycle.info(stream).key_index)
      assert.equal(2, #keycycle.info(stream).attempts)
    end
  end)

  it("raises what breaks it off later, and puts the key away by it", function()
    local err = { status = 429, headers = HOUR }
    local client = client_of(function() return stepper { "a", { raise = err } } end)
    local stream = client:ask()
    assert.equal("a", stream())
    local ok, got = pcall(stream)
    assert.is_false(ok)
    assert.is_true(rawequal(err, got))
    assert.same({ "exhausted", "ready", 0 }, { state_of(1), state_of(2), total().in_flight })
    client = client_of(function() return stepper { { raise = "own" } } end)
    assert.same({ false, "own" }, { pcall(client.ask, client) })
    assert.equal(0, total().in_flight)
  end)

  it("may be an object, whose methods and fields stay", function()
    local closed = 0
    local class = { __index = { close = function(self) closed = closed + self.one end,
      rest = function(self) return self.one, "rest" end }, __call = function(self)
        self.left = self.left - 1
        return self.left >= 0 and "abcd" or nil
      end }
    class.__close = class.__index.close
    local client = client_of(function() return setmetatable({ left = 2, one = 1 }, class) end)
    local stream = client:ask()
    assert.same({ 1, "rest" }, { stream:rest() })
    assert.equal(2, stream.left)
    assert.equal("abcd", stream())
    stream:close()
    assert.same({ 1, 0 }, { closed, total().in_flight })
    do
      local again <close> = client:ask()
      assert.equal(1, total().in_flight)
      again()
    end
    assert.same({ 2, 0 }, { closed, total().in_flight })
  end)

  describe("with a callback", function()
    it("is counted by what it is given", function()
      local client = client_of(function(_, _, fn)
        fn({ content = "a" }, chunk "a")
        fn({ content = "b" }, chunk("b", { prompt_tokens = 4, completion_tokens = 2 }))
        return 200, "data: …"
      end)
      local seen = {}
      assert.equal(200, (client:ask({ stream = true }, function(delta)
        seen[#seen + 1] = delta.content
      end)))
      assert.same({ "a", "b" }, seen)
      assert.equal(6, total().total_tokens)
    end)

    it("gives it back what it returns, and what it raises to the caller", function()
      local client = client_of(function(_, fn) return "got", fn("a", nil) end)
      assert.same({ "got", "a", nil, 3 }, { client:ask(function(a, b) return a, b, 3 end) })
      local tries = 0
      local err = { status = 429 }
      local ok, got = pcall(client.ask, client, function()
        tries = tries + 1
        error(err)
      end)
      assert.same({ false, 1, "ready" }, { ok, tries, state_of(1) })
      assert.is_true(rawequal(err, got))
    end)

    it("is not tried again once it was called", function()
      local calls = 0
      local client = client_of(function(_, request)
        calls = calls + 1
        request.on_chunk "a"
        return 429, "Retry after 3600 s"
      end)
      local seen = {}
      local err = raises(keycycle.RateLimitError, nil, client.ask, client, {
        on_chunk = function(text) seen[#seen + 1] = text end })
      assert.same({ 1, { "a" }, 1, "exhausted" }, { calls, seen, #err.attempts, state_of(1) })
    end)

    it("is tried again before", function()
      local client = client_of(function(key, fn)
        if key == KEYS[1] then return 429, "Retry after 3600 s" end
        fn "a"
        return 200, ""
      end)
      local seen = {}
      client:ask(function(text) seen[#seen + 1] = text end)
      assert.same({ "a" }, seen)
    end)
  end)
end)
