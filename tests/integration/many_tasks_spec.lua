--- Two thousand tasks, of which many are cancelled at some random moment: in the queue
--- for a key, in a call, in a stream. Nothing is left behind, counted.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local proc = require "tests.support.proc"
local servers = require "tests.support.servers"

local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2" }
local TASKS, AT_ONCE = 2000, 8 -- calls of a key at once

-- A chance of its own (MINSTD): the same in every run.
local function chance(seed)
  return function(n)
    seed = seed * 48271 % 2147483647
    return seed % n + 1
  end
end

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = "one two three four" } } }
end

describe("two thousand tasks with random cancels", function()
  local mock, wrapper, client, manager
  setup(function()
    mock = servers.mock("--chunk-delay 1 --keys " .. table.concat(KEYS, ","))
    wrapper = keycycle.MultiClientWrapper.new {}
    wrapper:register_provider("p", { base_url = mock.url, keys = KEYS, default_model = "m",
      limits = { concurrent_requests = AT_ONCE }, max_wait_queue = TASKS })
    client, manager = wrapper:get_rotating_client("p", { timeout = 60 }), wrapper:get_manager "p"
  end)
  teardown(function()
    wrapper:stop()
    mock.stop()
  end)

  local kinds = {
    function() client.chat.completions:create(request()) end,
    function()
      for _ in client.chat.completions:create(request(true)) do end
    end,
    function() -- it stops after the first event
      local stream <close> = client.chat.completions:create(request(true))
      assert(stream())
    end,
    function()
      local lease <close> = assert(manager:get_key("m", { wait = true, timeout = 60 }))
      keycycle.sleep(0.001)
      lease:commit(1)
    end,
  }

  -- Has them all run, and cancels up to `most` of them after each turn.
  local function run_all(random, most)
    local tasks, began, ended = {}, 0, { done = 0, cancelled = 0, failed = 0 }
    for i = 1, TASKS do
      tasks[i] = keycycle.spawn(function()
        began = began + 1
        kinds[random(#kinds)]()
      end)
    end
    local turns = 0
    while keycycle.step(1) > 0 do
      turns = turns + 1
      for _ = 1, random(most + 1) - 1 do tasks[random(TASKS)]:cancel() end
      if turns == 20 then assert.is_true(manager:get_global_stats().queue.length > 500) end
    end
    for _, t in ipairs(tasks) do
      local how = t:status()
      ended[how] = ended[how] + 1
      if how == "failed" then print(t:traceback()) end
    end
    return ended, setmetatable(tasks, { __mode = "v" })
  end

  it("leave nothing behind", function()
    local warm = {}
    for i = 1, AT_ONCE * #KEYS do warm[i] = kinds[1] end
    keycycle.gather(warm)
    local pending, open = core.pending(), proc.descriptors()
    local ended, tasks = run_all(chance(20240607), 4)
    assert.equal(0, ended.failed)
    assert.is_true(ended.cancelled > 200 and ended.done > 200,
      ended.cancelled .. " cancelled, " .. ended.done .. " done")
    local stats = manager:get_global_stats()
    assert.same({ 0, 0 }, { stats.total.in_flight, stats.queue.length })
    assert.same({ pending, 0 }, { core.pending(), core.io_pending() })
    assert.equal(0, keycycle.step(0))
    assert.is_true(proc.descriptors() <= open, "descriptors were left open")
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(tasks), "a task is still held")
  end)
end)
