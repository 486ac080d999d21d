--- What a script's function notes in a table that the caller keeps for it.
local core = require "keycycle.core"
local scripts = require "keycycle.loader.box"

describe("a hook", function()
  it("gives back what it made of its last argument, where that is asked for", function()
    local box <close> = assert(core.box())
    local _, hook = box:run "return function(a, t) t.n = (t.n or 0) + a return t.n, a end"
    local state = { kept = true }
    assert.same({ true, { kept = true, n = 2 }, 2, 2 }, { hook:call_keep(2, state) })
    assert.same({ kept = true }, state)
    assert.has_error(function() hook:call_keep() end)
  end)

  it("may not put into it what cannot be copied", function()
    local box <close> = assert(core.box())
    local _, hook = box:run "return function(t) t.f = type end"
    local ok, err = hook:call_keep {}
    assert.same({ false, "value" }, { ok, err.code })
  end)
end)

describe("the events of a script's protocol", function()
  local script = assert(scripts.load([[return keycycle.provider { protocols = { chat = {
    event = function(kind, data, state)
      state.seen, state.first = (state.seen or 0) + 1, state.first or kind
      if data.fail then error "no" end
      while data.loop do end
      return { text = state.first .. state.seen }
    end } } }]], "@provider.lua"))
  local event = script.value.protocols.chat.event

  it("keep their state from one to the next, each stream its own", function()
    local one, two = {}, {}
    assert.same({ text = "a1" }, event("a", {}, one))
    assert.same({ text = "b1" }, event("b", {}, two))
    assert.same({ text = "a2" }, event("b", {}, one))
    assert.same({ { seen = 2, first = "a" } }, one)
  end)

  it("may take out of it what they put there", function()
    local state = {}
    event("a", {}, state)
    local forgetful = assert(scripts.load([[return { protocols = { chat = {
      event = function(kind, data, state) state.first = nil end } } }]], "@other.lua"))
    assert.is_nil(forgetful.value.protocols.chat.event("b", {}, state))
    assert.same({ { seen = 1 } }, state)
  end)

  it("keep it where one fails, and where the box is made anew", function()
    local state = {}
    event("a", {}, state)
    assert.is_false(pcall(event, "a", { fail = true }, state))
    assert.same({ { seen = 1, first = "a" } }, state)
    assert.is_false(pcall(event, "a", { loop = true }, state))
    assert.same({ text = "a2" }, event("b", {}, state))
  end)
end)
