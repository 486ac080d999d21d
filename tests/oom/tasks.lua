--- Tasks that wait for a key on a manual clock, for one another, or are cancelled:
--- each ends, whatever failed.
local keycycle = require "keycycle"

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

-- Waits for its turn, as a call in a task does.
local function wait_for_key(w)
  local lease <close> = got(w.manager:get_key("m", { wait = true, timeout = 300 }))
  lease:commit(2)
  return "done"
end

-- Steps until no task lives; time goes on whenever all wait for it.
local function drain(w)
  local turns = 0
  while keycycle.step(0) > 0 do
    turns = turns + 1
    if turns > 200 then error "a task never ended" end
    w.clock:advance(31)
  end
end

-- What a task that failed says is of memory; one that waited in line may be told
-- that it was refused instead.
local function settle(ok, value)
  if ok then return value end
  local text = type(value) == "table" and value.code or tostring(value)
  if text == "no_memory" or text:find "not enough memory" then return "memory" end
  if text == "cancelled" then return "cancelled" end
  error(value, 0)
end

return {
  { "wrapper", function(w)
    w.clock = got(keycycle.clock.manual(1.7e9))
    w.wrapper = keycycle.MultiClientWrapper.new { clock = w.clock }
    w.wrapper:register_provider("local", { base_url = "http://127.0.0.1:9/v1",
      keys = { "sk-oom-first-0001" }, limits = { requests_per_minute = 1 } })
    w.manager = w.wrapper:get_manager "local"
  end },
  { "spawn", function(w)
    w.tasks = w.tasks or {}
    for i = #w.tasks + 1, 3 do
      local t = keycycle.spawn(wait_for_key, w)
      w.tasks[i] = t
    end
  end },
  { "cancel", function(w)
    w.cancelled = w.cancelled or keycycle.spawn(wait_for_key, w)
    keycycle.step(0)
    w.cancelled:cancel "no longer wanted"
  end },
  { "drain", drain },
  { "await", function(w)
    w.results = {}
    for i, t in ipairs(w.tasks) do w.results[i] = settle(pcall(t.await, t)) end
    w.end_of_cancelled = settle(pcall(w.cancelled.await, w.cancelled))
  end },
  { "gather", function(w)
    w.gathered = keycycle.run(function()
      return keycycle.gather {
        function() return 1 end,
        function()
          keycycle.sleep(0)
          return 2
        end,
        keycycle.spawn(function() return 3 end),
      }
    end)
  end },
  { "gather that fails", function()
    local ok, err = pcall(keycycle.run, function()
      keycycle.gather {
        function() keycycle.sleep(60) end,
        function() error({ code = "mine" }, 0) end,
      }
    end)
    assert(not ok)
    if type(err) ~= "table" or err.code ~= "mine" then error(err, 0) end
  end },
  { "generator", function()
    local sum = 0
    keycycle.run(function()
      for n in keycycle.wrap(function()
        for i = 1, 3 do
          keycycle.sleep(0)
          coroutine.yield(i)
        end
      end) do sum = sum + n end
    end)
    assert(sum == 6)
  end },
  { "the end", drain },
  check = function(w)
    assert(table.concat(w.gathered) == "123")
    -- The one that was to wait has its turn at once where those before it failed.
    for i = 1, 3 do assert(w.results[i] == "done" or w.results[i] == "memory", w.results[i]) end
    if w.oom.hits() == 0 then
      assert(table.concat(w.results, " ") == "done done done" and w.end_of_cancelled == "cancelled")
    end
    assert(keycycle.step(0) == 0)
    assert(w.manager:get_global_stats().queue.length == 0)
  end,
}
