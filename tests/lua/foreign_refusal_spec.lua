local keycycle = require "keycycle"
local foreign = require "tests.support.foreign"
local raises = require "tests.support.raises"

local KEYS, SLOW, HOUR = foreign.KEYS, foreign.SLOW, foreign.HOUR

describe("what a client of another's class is refused", function()
  local wrapper, total, client_of
  before_each(function()
    local opened = foreign.open()
    wrapper, total, client_of = opened.wrapper, opened.total, opened.client_of
  end)
  after_each(function() wrapper:stop() end)

  -- Refuses the first key with what `refuse` does, and answers the second.
  local function second_key(refuse)
    return function(key, ...)
      if key == KEYS[1] then return refuse() end
      return "answer", ...
    end
  end

  describe("rotates when a call", function()
    local refusals = {
      ["returns a status"] = function() return 429, SLOW, HOUR end,
      ["returns a status and a text"] = function() return 429, "Retry after 3600 s" end,
      ["returns nil and a table"] = function() return nil, { status = 429, headers = HOUR } end,
      ["returns nil and words"] = function() return nil, "HTTP 429: retry after 3600 s" end,
      ["returns nil, words and the answer"] = function()
        return nil, "Bad status: 429: slow", { error = { message = "try again in 3600s" } }
      end,
      ["returns nil, words and a status"] = function() return nil, "Retry after 3600 s", 429 end,
      ["raises a table"] = function() error { status = 429, headers = HOUR } end,
      ["raises a table with http_status"] = function()
        error { http_status = "429", body = "Retry after 3600 s" }
      end,
      ["raises a table with its answer"] = function()
        error { response = { status = 429, headers = HOUR, body = "{}" } }
      end,
      ["raises words"] = function() error "HTTP/1.1 429 Too Many Requests, retry after 3600 s" end,
      ["raises a status and its name"] = function()
        error "Request failed: 429 Too Many Requests (retry after 3600 s)"
      end,
      ["raises a status"] = function() error("429: retry after 3600 s") end,
      ["is refused a key"] = function() return 401, { error = { code = "invalid_api_key" } } end,
      ["is refused a key, raised"] = function() error { code = 401, message = "no" } end,
    }
    for name, refuse in pairs(refusals) do
      it(name, function()
        local client = client_of(second_key(refuse))
        assert.same({ "answer", 1, 2 }, { client:ask(1, 2) })
        local state = wrapper:get_manager("p"):keys()[1].state
        assert.truthy(state == "exhausted" or state == "suspended" or state == "cooling", state)
        assert.same({ "answer" }, { client:ask() })
        assert.same({ 3, 0 }, { total().total_requests, total().in_flight })
      end)
    end

    it("fails in the program's own words", function()
      local client = client_of(second_key(function() return "sorry" end), {
        failure = function(said)
          return said == "sorry" and { status = 429, headers = HOUR } or nil
        end })
      assert.equal("answer", client:ask())
    end)
  end)

  it("hands on what is no refusal, as it is and without a second try", function()
    local thrown = { "own" }
    for _, case in ipairs {
      { raise = "the user 429 is unknown" }, { raise = "user id 429: unknown" },
      { raise = "./x.lua:429: oops" }, { raise = "http://host/429 is gone" },
      { raise = thrown }, { raise = { code = "E429", status = "429x" } }, { raise = 429 },
      { raise = "status 4290" }, { raise = "HTTP 200" },
      { nil, "timeout" }, { nil, "no user 429" }, { 429 }, { 429, 430 }, { 200, "x" },
      { 512.5, {} },
      { nil }, { false }, { nil, nil, "x" }, { { status = 429 } }, {},
    } do
      local calls, n = 0, 0
      for i in pairs(case) do n = math.max(n, math.type(i) == "integer" and i or 0) end
      local client = client_of(function()
        calls = calls + 1
        if case.raise then error(case.raise, 0) end
        return table.unpack(case, 1, n)
      end)
      local got = table.pack(pcall(client.ask, client))
      if case.raise then
        assert.same({ false, case.raise, n = 2 }, got)
        assert.truthy(rawequal(case.raise, got[2]))
      else
        assert.same(table.pack(true, table.unpack(case, 1, n)), got)
      end
      assert.equal(1, calls)
    end
    assert.equal(0, total().in_flight)
  end)

  it("passes our own errors through, raised or returned", function()
    local tries = 0
    local _, err = keycycle.try(wrapper.get_manager, wrapper, "none")
    local client = client_of(function(_, how)
      tries = tries + 1
      if how then error(err, 0) end
      return nil, err
    end)
    assert.equal(err, select(2, client:ask()))
    assert.equal(err, select(2, pcall(client.ask, client, true)))
    assert.equal(2, tries)
  end)

  it("blacks a key out of an error's text", function()
    local client = client_of(function(key) error("no: " .. key, 0) end)
    local _, text = pcall(client.ask, client)
    assert.truthy(text:find("no: ", 1, true))
    assert.falsy(text:find("0123456789", 1, true))
  end)

  it("raises what ends the call, with all attempts", function()
    local client = client_of(function() return 429, SLOW, HOUR end)
    local err = raises(keycycle.NoAvailableKeyError, nil, client.ask, client)
    assert.same({ 429, 2, "quota" }, { err.status, #err.attempts, err.attempts[1].kind })
    client = client_of(function(key)
      return 400, { error = { message = "bad " .. key, code = "x" } }
    end, { key_id = 2 })
    wrapper:get_manager("p"):reset(1)
    wrapper:get_manager("p"):reset(2)
    err = raises(keycycle.APIError, "bad", client.ask, client)
    assert.same({ "invalid_request", 400, 1 }, { err.code, err.status, #err.attempts })
    assert.falsy((tostring(err) .. err.body):find("9876543210", 1, true))
  end)

  it("takes what `failure` says without a status for a provider that was not reached", function()
    local client = client_of(function() return "timeout" end, { max_retries = 0,
      failure = function(said) return { message = said } end })
    raises(keycycle.TransportError, "timeout", client.ask, client)
  end)

  it("does without a `failure` that fails", function()
    local client = client_of(second_key(function() return 429, SLOW, HOUR end), {
      failure = function() error "oops" end })
    assert.equal("answer", client:ask())
  end)
end)
