local chat = require "keycycle.protocol.openai_chat"
local log = require "keycycle.log"
local usage = require "keycycle.usage"
local wire = require "keycycle.wire"

local pool = { redact = function(_, text) return (text:gsub("sk%-secret", "***")) end }

local body = { usage = { prompt_tokens = 3, completion_tokens = 4, total_tokens = 7 } }

describe("usage", function()
  local lines
  before_each(function()
    lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() log.set_sink(nil) end)

  local function of(extract, adapters)
    return usage.of({ opts = { usage_extractor = extract }, protocol = chat,
      entry = { name = "p", adapter = { usage = adapters },
        pool = pool } }, body)
  end

  it("is what the protocol finds", function()
    assert.equal(7, of().total_tokens)
  end)

  it("is what the caller's extractor says, then the adapter's", function()
    local function says(n) return function() return n end end
    assert.same({ total_tokens = 9 }, of(says(9), says(8)))
    assert.same({ total_tokens = 8 }, of(nil, says(8)))
    assert.same({ input_tokens = 1, output_tokens = 2, total_tokens = 3, model = "m" },
      of(says { input_tokens = 1, output_tokens = 2.0, model = "m" }))
    assert.is_nil(of(says(nil)))
    assert.same({}, lines)
  end)

  it("falls back on the protocol when an extractor fails or says what is none", function()
    for i, bad in ipairs { "many", -1, 1.5, 0 / 0, true, { total_tokens = "x" },
      { input_tokens = -1 }, 2 ^ 60 } do
      assert.equal(7, of(function() return bad end).total_tokens)
      assert.equal(i, #lines)
    end
    assert.equal(7, of(function() error "oops" end).total_tokens)
    assert.truthy(lines[#lines]:find("oops", 1, true))
  end)

  it("of a user's protocol loses no answer, whatever it says", function()
    local function own(fn)
      local protocol = wire.protocol({ protocols = { chat = { usage = fn } } }, "chat")
      return usage.of({ opts = {}, protocol = protocol, entry = { name = "p", adapter = {},
        pool = pool } }, body)
    end
    assert.is_nil(own(function() error "oops" end))
    assert.is_nil(own(function() return { total_tokens = {} } end))
    assert.equal(2, #lines)
    assert.is_nil(own(function() return nil end))
    assert.equal(3, own(function() return { input_tokens = 1, output_tokens = 2 } end).total_tokens)
    assert.equal(2, #lines)
  end)

  it("is quoted in the log without keys, short and on one line", function()
    of(function() error("sk-secret\nx" .. ("y"):rep(1000), 0) end)
    assert.is_nil(lines[1]:find("sk-secret", 1, true))
    assert.is_nil(lines[1]:find "%c")
    assert.is_true(#lines[1] < 400)
  end)

  it("never loses an answer to a lease that had ended", function()
    usage.settle({ commit = function() error "stale" end }, { total_tokens = 1 })
  end)
end)
