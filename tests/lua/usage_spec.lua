local chat = require "keycycle.protocol.openai_chat"
local log = require "keycycle.log"
local usage = require "keycycle.call.usage"

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
      adapter = { usage = adapters }, entry = { name = "p" } }, body)
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
    assert.equal(7, of(nil, says(nil)).total_tokens)
    assert.equal(7, of(nil, { total_tokens = "not.there" }).total_tokens)
    assert.same({}, lines)
  end)

  it("falls back on the protocol when an extractor fails or says what is none", function()
    for i, bad in ipairs { "many", -1, 1.5, 0 / 0, true, { total_tokens = "x" },
      { input_tokens = -1 }, 2 ^ 60 } do
      assert.equal(7, of(function() return bad end).total_tokens)
      assert.equal(i, #lines)
    end
    local function broken() error "oops" end
    local n = #lines
    for _ = 1, 3 do assert.equal(7, of(broken).total_tokens) end
    assert.truthy(lines[#lines]:find("oops", 1, true))
    assert.equal(n + 1, #lines)
  end)

  it("never loses an answer to a lease that had ended", function()
    usage.settle({ commit = function() error "stale" end }, { total_tokens = 1 })
  end)
end)
