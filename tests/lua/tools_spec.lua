local keycycle = require "keycycle"
local core = require "keycycle.core"
local raises = require "tests.support.raises"
local tools = require "keycycle.tools"

local json = keycycle.json
local CITY = { type = "object", required = { "city" }, properties = { city = { type = "string" } } }

local function tool(run, name, parameters)
  return { name = name or "t", run = run, parameters = parameters }
end

-- One call of a tool "t" that runs `run`: the call with what came of it.
local function used(run, arguments, parameters)
  local call = { id = "1", name = "t", arguments = arguments or {} }
  tools.new { tool(run, "t", parameters) }:use { call }
  return call
end

local function told(run, ...) return used(run, ...).content end

describe("tools", function()
  it("are sent as they are, without what runs them", function()
    local list = tools.new { { name = "weather", description = "Of a city", parameters = CITY,
      strict = true, run = print }, { name = "now", run = print } }.list
    assert.same({ { name = "weather", description = "Of a city", parameters = CITY, strict = true },
      { name = "now" } }, list)
    assert.is_nil(tools.new(nil).list)
    assert.is_nil(tools.new({}).list)
  end)

  it("are refused when their form is wrong, with the place", function()
    local function refused(word, given)
      raises(keycycle.InvalidConfigurationError, word, tools.new, given)
    end
    refused("tools must be a list", "weather")
    refused("tools must be a list", tool(print))
    refused("tools[2] must be a table, not a string", { tool(print), "x" })
    refused("tools[1].name is missing", { { run = print } })
    refused("tools[1].run is missing", { { name = "t" } })
    refused("tools[1].run must be a function", { { name = "t", run = "print" } })
    refused('tools[1] has no field "params"', { { name = "t", run = print, params = {} } })
    refused('tools[2].name is "t", as that of another', { tool(print), tool(print) })
    refused("tools[1].parameters.type", { tool(print, "t", { city = { type = "string" } }) })
    for _, name in ipairs { "", "a b", "1st", "-x", "a.b", "größe", ("n"):rep(65) } do
      refused("tools[1].name", { tool(print, name) })
    end
    for _, name in ipairs { "a", "_x", "get-weather_2", ("n"):rep(64) } do
      tools.new { tool(print, name) }
    end
  end)
end)

describe("a tool's result", function()
  it("is a text as it is, all else as JSON, nothing as null", function()
    local some = { "text", "12.5", "true", "null", "null", '{"a":[1,2]}', "[1,2]", "{}", "" }
    local values = { "text", 12.5, true, json.null, nil, { a = { 1, 2 } }, { 1, 2 }, {}, "" }
    for i, text in ipairs(some) do
      local call = used(function() return values[i] end)
      assert.equal(text, call.content)
      assert.is_nil(call.error)
      assert.is_true(call.seconds >= 0)
    end
    assert.equal("null", told(function() end))
  end)

  it("is an error where it cannot be sent", function()
    local cycle = {}
    cycle[1] = cycle
    local thread = coroutine.create(print)
    for _, value in ipairs { print, cycle, { f = print }, "\xff", 0 / 0, thread } do
      local call = used(function() return value end)
      assert.truthy(call.content:find("^Error: its result cannot be sent: "), call.content)
      assert.equal(call.content, "Error: " .. call.error)
    end
  end)

  it("is an error where it raises, in its own words and without a traceback", function()
    assert.equal("Error: no such city", told(function() error("no such city", 0) end))
    assert.equal("Error: no such city", told(function() return nil, "no such city" end))
    assert.equal("Error: no such city", told(function() error { message = "no such city" } end))
    assert.equal("Error: no such city", told(function()
      error(setmetatable({}, { __tostring = function() return "no such city" end }))
    end))
    assert.equal("Error: no such city", told(function()
      error("no such city\nstack traceback:\n\t[C]: in ?", 0)
    end))
    assert.truthy(told(function() keycycle.json.decode "{" end):find "^Error: KeycycleError: ")
  end)

  it("is an error where it raises what says nothing", function()
    for _, value in ipairs { {}, { message = {} }, setmetatable({}, { __tostring = error }),
      setmetatable({}, { __index = error }) } do
      local said = told(function() error(value) end)
      assert.equal("Error: it failed without a message", said)
    end
    assert.equal("Error: it failed, and what it said is no UTF-8",
      told(function() error("\xff", 0) end))
    assert.equal("Error: it failed without a message", told(function() error() end))
  end)
end)

describe("a call of a tool", function()
  it("that runs out of memory is no answer to the model", function()
    local set = tools.new { tool(function() error("not enough memory", 0) end) }
    assert.same({ false, "not enough memory" }, { pcall(set.use, set, { { name = "t" } }) })
  end)

  it("is refused before it is made where the arguments do not fit", function()
    local ran = false
    local function run() ran = true end
    assert.equal("Error: the arguments do not fit: city must be of type string, not 3",
      told(run, { city = 3 }, CITY))
    assert.equal("Error: the arguments do not fit: city is missing", told(run, {}, CITY))
    local call = { name = "t", arguments = {}, arguments_text = '{"city":' }
    tools.new { tool(run) }:use { call }
    assert.equal("Error: the arguments are no JSON object", call.content)
    assert.is_false(ran)
  end)

  it("of a tool that is not there says which are", function()
    local call = { name = "wether", arguments = {} }
    tools.new { tool(print, "weather"), tool(print, "now") }:use { call }
    assert.equal('Error: there is no tool "wether" (there are: now, weather)', call.content)
    tools.new(nil):use { call }
    assert.equal('Error: there is no tool "wether" (there are: none)', call.content)
  end)

  it("gets arguments of its own: what it does to them changes no message", function()
    local given = { list = json.array { 1, { x = 2 } } }
    local call = used(function(args)
      args.list[2].x, args.list[3], args.new = 9, 9, 9
      return args
    end, given)
    assert.same({ 1, { x = 2 } }, given.list)
    assert.is_nil(given.new)
    assert.equal(given, call.arguments)
  end)

  it("may have arguments that a tool without parameters does not want", function()
    assert.equal('{"x":1}', told(function(args) return args end, { x = 1 }))
    local call = { name = "t" }
    tools.new { tool(function(args) return args end) }:use { call }
    assert.equal("{}", call.content)
  end)

  it("runs beside the others, inside of a task and outside", function()
    local function try()
      local clock, order, calls = keycycle.clock.manual(0), {}, {}
      local task = require "keycycle.task"
      local set = tools.new { tool(function(args)
        order[#order + 1] = "+" .. args.n
        if args.n == 3 then clock:advance(9) end
        task.wait_clock(4 - args.n, clock, "not in a task")
        order[#order + 1] = "-" .. args.n
        return args.n
      end) }
      for i = 1, 3 do calls[i] = { name = "t", arguments = { n = i } } end
      keycycle.spawn(function()
        while #order < 6 do
          clock:advance(1)
          keycycle.sleep(0)
        end
      end)
      set:use(calls)
      assert.same({ "1", "2", "3" }, { calls[1].content, calls[2].content, calls[3].content })
      assert.same({ "+1", "+2", "+3" }, table.move(order, 1, 3, 1, {}))
      assert.equal(6, #order)
    end
    try()
    keycycle.run(try)
  end)

  it("that fails leaves the others alone", function()
    local calls = { { name = "bad" }, { name = "good" } }
    tools.new { tool(function() error "x" end, "bad"),
      tool(function() keycycle.sleep(0) return "fine" end, "good") }:use(calls)
    assert.truthy(calls[1].error)
    assert.equal("fine", calls[2].content)
  end)

  it("is cancelled with what waits for it, and the cancellation is raised", function()
    local closed, calls = 0, { { name = "t" }, { name = "t" } }
    local set = tools.new { tool(function()
      local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      keycycle.sleep(3600)
    end) }
    local t = keycycle.spawn(function() set:use(calls) end)
    keycycle.step(0)
    keycycle.step(0)
    t:cancel()
    raises(keycycle.CancelledError, nil, t.await, t)
    while keycycle.step(0) > 0 do end
    assert.equal(2, closed)
    assert.is_nil(calls[1].content)
  end)

  it("is cancelled when the time is over, and that is raised", function()
    local seen
    local calls = { { name = "t" } }
    local set = tools.new { tool(function()
      local ok, err = pcall(keycycle.sleep, 3600)
      seen = not ok and err
      error(err, 0)
    end) }
    raises(keycycle.TimeoutError, "deadline", set.use, set, calls, core.mono() + 0.25)
    assert.is_true(keycycle.is(seen, keycycle.CancelledError))
    raises(keycycle.TimeoutError, "deadline", set.use, set, calls, core.mono() - 1)
    while keycycle.step(0) > 0 do end
  end)

  it("that ends in time leaves no timer behind", function()
    local calls = { { name = "t" }, { name = "t" } }
    tools.new { tool(function() return 1 end) }:use(calls, core.mono() + 3600)
    assert.same({ "1", "1" }, { calls[1].content, calls[2].content })
    assert.equal(0, keycycle.step(0))
    assert.is_nil(keycycle.timeout())
  end)
end)
