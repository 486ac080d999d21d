--- Tasks beside other loops: cqueues, luv and a loop of frames, in the very words of the
--- README. Nobody polls: the turns are counted.
local blocks = require "tests.support.blocks"
local cqueues = require "cqueues"
local keycycle = require "keycycle"
local servers = require "tests.support.servers"
local socket = require "cqueues.socket"
local uv = require "luv"

local KEY = "sk-mock-aaaaaaaaaaaaaaaa-1"
local WORDS = "one two three four five six"

--- The README's example whose first line is the comment `name`, as a function; it may
--- use the names in `given`.
local function recipe(name, given)
  return assert(load(blocks.named("README.md", name), "=README.md", "t",
    setmetatable(given, { __index = _G })))
end

local mock, wrapper, client, turns

-- What a recipe knows as keycycle: it counts its turns.
local counted = setmetatable({ step = function(...)
  turns = turns + 1
  return keycycle.step(...)
end }, { __index = keycycle })

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = WORDS } } }
end

local function ask()
  return client.chat.completions:create(request()).choices[1].message.content
end

local function read()
  local parts = {}
  for chunk in client.chat.completions:create(request(true)) do
    parts[#parts + 1] = chunk.choices[1] and chunk.choices[1].delta.content
  end
  return table.concat(parts), #parts
end

-- Three calls and two streams, and how many events they cannot have more of: some for
-- each connection and call, one a piece of a stream.
local function spawn_some()
  local tasks = {}
  for i = 1, 5 do tasks[i] = keycycle.spawn(i <= 3 and ask or read) end
  return tasks, 60
end

local function all_answered(tasks)
  for _, t in ipairs(tasks) do assert.equal("You said: " .. WORDS, (t:await())) end
end

setup(function()
  mock = servers.mock("--chunk-delay 1 --keys " .. KEY)
  wrapper = keycycle.MultiClientWrapper.new {}
  wrapper:register_provider("p", { base_url = mock.url, keys = { KEY }, default_model = "m" })
  client = wrapper:get_rotating_client "p"
end)
teardown(function()
  wrapper:stop()
  mock.stop()
end)
before_each(function() turns = 0 end)

describe("beside cqueues", function()
  local loop
  local function go()
    recipe("in a cqueue", { keycycle = counted, loop = loop, cqueues = cqueues })()
    assert(loop:loop())
  end
  before_each(function() loop = cqueues.new() end)

  it("calls and streams run next to its own timers and sockets", function()
    local ticks, said = 0, nil
    local tasks, most = spawn_some()
    local a, b = socket.pair()
    loop:wrap(function()
      for i = 1, 5 do
        cqueues.sleep(0.002)
        ticks = i
      end
      b:write "hello\n"
      b:flush()
    end)
    loop:wrap(function() said = a:read "*l" end)
    go()
    all_answered(tasks)
    assert.same({ 5, "hello" }, { ticks, said })
    assert.is_true(turns <= most, turns .. " turns")
  end)

  it("a task that sleeps costs no turn while it does", function()
    local ticks = 0
    keycycle.spawn(keycycle.sleep, 0.03)
    loop:wrap(function()
      for i = 1, 20 do
        cqueues.sleep(0.001)
        ticks = i
      end
    end)
    go()
    assert.equal(20, ticks)
    assert.is_true(turns <= 4, turns .. " turns")
  end)

  it("a task that is spawned and cancelled from its coroutines ends there", function()
    local sleeper, late
    keycycle.spawn(keycycle.sleep, 0.01)
    loop:wrap(function()
      sleeper = keycycle.spawn(keycycle.sleep, 3600)
      cqueues.sleep(0.002)
      sleeper:cancel()
      late = keycycle.spawn(function() return "late" end)
      cqueues.sleep(0.002)
      assert.same({ "cancelled", "done" }, { sleeper:status(), late:status() })
    end)
    go()
    assert.equal("late", (late:await()))
  end)

  it("a call in a coroutine of its own blocks, and takes none of its yields", function()
    local order = {}
    for i = 1, 2 do
      loop:wrap(function()
        order[#order + 1] = "call " .. i
        assert.equal("You said: " .. WORDS, ask())
        assert.equal("You said: " .. WORDS, (read()))
        order[#order + 1] = "answer " .. i
        cqueues.sleep(0)
        order[#order + 1] = "end " .. i
      end)
    end
    assert(loop:loop())
    assert.equal(6, #order)
    for i = 1, 3, 2 do -- whichever was first, the other one began after its answer
      assert.equal(order[i]:gsub("call", "answer"), order[i + 1])
    end
  end)

  it("a cqueue inside a task blocks as it would anywhere", function()
    assert.equal("You said: " .. WORDS, keycycle.run(function()
      local answer
      loop:wrap(function()
        cqueues.sleep(0.001)
        answer = ask()
      end)
      assert(loop:loop())
      return answer
    end))
  end)
end)

describe("beside luv", function()
  local function go() recipe("beside luv", { keycycle = counted, uv = uv })() end

  it("calls and streams run next to its own timers and pipes", function()
    local ticks, said = 0, nil
    local tasks, most = spawn_some()
    local timer, ends = uv.new_timer(), uv.socketpair()
    local a, b = uv.new_pipe(false), uv.new_pipe(false)
    a:open(ends[1])
    b:open(ends[2])
    a:read_start(function(_, data)
      said = data
      a:close()
      b:close()
    end)
    timer:start(2, 2, function()
      ticks = ticks + 1
      if ticks < 5 then return end
      timer:close()
      b:write "hello"
    end)
    go()
    all_answered(tasks)
    assert.same({ 5, "hello" }, { ticks, said })
    assert.is_true(turns <= most, turns .. " turns")
  end)

  it("a task that sleeps costs no turn while it does", function()
    local ticks, timer = 0, uv.new_timer()
    keycycle.spawn(keycycle.sleep, 0.03)
    timer:start(1, 1, function()
      ticks = ticks + 1
      if ticks == 20 then timer:close() end
    end)
    go()
    assert.equal(20, ticks)
    assert.is_true(turns <= 4, turns .. " turns")
  end)

  it("a callback that spawns, cancels, or frees a key has it done", function()
    local pool_wrapper <close> = keycycle.MultiClientWrapper.new {}
    pool_wrapper:register_provider("q", { base_url = mock.url, keys = { KEY },
      limits = { concurrent_requests = 1 } })
    local manager = pool_wrapper:get_manager "q"
    local held = manager:get_key "m"
    local waits = keycycle.spawn(function()
      manager:get_key("m", { wait = true, timeout = 60 }):commit(1)
      return "had its turn"
    end)
    local sleeper, timer, step, late = keycycle.spawn(keycycle.sleep, 3600), uv.new_timer(), 0, nil
    local steps = { function() held:commit(1) end,
      function() late = keycycle.spawn(function() return "late" end) end,
      function()
        sleeper:cancel()
        timer:close()
      end }
    timer:start(1, 1, function()
      step = step + 1
      steps[step]()
    end)
    go()
    assert.same({ "had its turn", "late", "cancelled" },
      { (waits:await()), (late:await()), sleeper:status() })
    assert.is_true(turns <= 10, turns .. " turns")
  end)
end)

describe("in a loop of frames", function()
  local core = require "keycycle.core"

  it("a step of a frame never waits, and the answers come", function()
    local frames, shown, drawn = 0, nil, 0
    recipe("a loop of frames", { keycycle = counted,
      ask = function(word)
        return client.chat.completions:create {
          messages = { { role = "user", content = word } } }.choices[1].message.content
      end,
      running = function()
        frames = frames + 1
        return not shown and frames < 10000
      end,
      show = function(text) shown = text end,
      draw = function()
        drawn = drawn + 1
        uv.sleep(1)
      end,
    })()
    assert.equal("You said: Hello", shown)
    assert.is_true(frames > 2)
    assert.same({ frames - 1, frames - 1 }, { drawn, turns })
  end)

  it("many tasks share the frames by the budget", function()
    local ran = 0
    for _ = 1, 50 do
      keycycle.spawn(function()
        local till = core.mono() + 0.0005
        repeat until core.mono() >= till
        ran = ran + 1
      end)
    end
    local frames = 0
    repeat
      local before = ran
      local live = keycycle.step(0, 0.001)
      frames = frames + 1
      assert.is_true(ran > before and ran - before <= 3)
    until live == 0
    assert.is_true(frames >= 17)
  end)
end)
