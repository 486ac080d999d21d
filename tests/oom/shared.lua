--- Two wrappers on one shared pool: they come and go, wait in one queue and are told
--- of each other's events; one that fails to come is no member.
local keycycle = require "keycycle"

local A, B, C = "sk-oom-first-0001", "sk-oom-second-002", "sk-oom-third-0003"

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function limits(model)
  return { requests_per_minute = model == "m" and 100 or 10, concurrent_requests = 1 }
end

local function config(keys, model)
  return { base_url = "http://127.0.0.1:9/v1", default_model = model or "m", keys = keys,
    limits = limits }
end

local function join(keys)
  local wrapper = keycycle.MultiClientWrapper.new { shared = "oom" }
  wrapper:register_provider("local", config(keys))
  return wrapper
end

local function wait_for_key(manager)
  local lease <close> = got(manager:get_key("m", { wait = true, timeout = 300 }))
  lease:commit(2)
  return "done"
end

local function drain()
  for _ = 1, 200 do
    if keycycle.step(0) == 0 then return end
  end
  error "a task never ended"
end

local function settle(ok, value)
  if ok then return value end
  local text = type(value) == "table" and value.code or tostring(value)
  if text == "no_memory" or text:find "not enough memory" then return "memory" end
  error(value, 0)
end

return {
  { "first", function(w)
    w.leases, w.held = {}, 0
    w.first = join { A, B }
    w.manager = w.first:get_manager "local"
  end },
  { "use", function(w)
    local lease <close> = got(w.manager:get_key "m")
    lease:cancel()
  end },
  { "second", function(w)
    w.second = join { A, B }
    w.other = w.second:get_manager "local"
  end },
  { "subscribe", function(w)
    w.seen = 0
    w.stop = w.other:on("acquire", function() w.seen = w.seen + 1 end)
  end },
  { "hold", function(w)
    for i = #w.leases + 1, 2 do
      w.leases[i] = got(w.manager:get_key("m", { key_id = i, pin_key = true }))
      w.held = i
    end
  end },
  { "wait", function(w)
    w.tasks = w.tasks or {}
    for i = #w.tasks + 1, 4 do
      local manager = i % 2 == 0 and w.manager or w.other
      local t = keycycle.spawn(wait_for_key, manager)
      w.tasks[i] = t
    end
    keycycle.step(0)
  end },
  { "give back", function(w)
    for i = w.held, 1, -1 do
      w.leases[i]:cancel()
      w.held = i - 1
    end
  end },
  { "drain", drain },
  { "await", function(w)
    w.results = {}
    for i, t in ipairs(w.tasks) do w.results[i] = settle(pcall(t.await, t)) end
  end },
  { "other keys", function()
    local ok, err = pcall(join, { A, C })
    assert(not ok)
    if type(err) ~= "table" or err.code ~= "differs" then error(err, 0) end
  end },
  { "register again", function(w)
    w.first:register_provider("local", config({ A, B }, "n"))
  end },
  { "add", function(w) w.added = w.other:add_key(C) end },
  { "use the new one", function(w)
    local lease <close> = got(w.manager:get_specific_key(3, "m"))
    lease:cancel()
    assert(w.manager:explain "m"[3].limits.concurrent_requests == 1)
  end },
  { "one leaves", function(w) w.second:stop() end },
  { "alone", function(w)
    collectgarbage() -- those that failed to come, or did not get to say so
    collectgarbage()
    w.first:register_provider("local", config { B, C })
  end },
  { "third", function(w)
    w.third = join { B, C }
    assert(w.third:get_manager "local":get_global_stats().total.in_flight == 0)
  end },
  check = function(w)
    for i = 1, 4 do assert(w.results[i] == "done" or w.results[i] == "memory", w.results[i]) end
    if w.oom.hits() == 0 then
      assert(table.concat(w.results) == "donedonedonedone" and w.seen == 6 and w.added == 3, w.seen)
      assert(w.manager:get_model_stats "m".total.total_requests == 4)
    end
    assert(w.manager:get_global_stats().queue.length == 0)
    w.first:stop()
    w.third:stop()
    collectgarbage()
    collectgarbage()
    local new = join { A } -- the name is free
    assert(new:get_manager "local":get_global_stats().total.rpm == 0)
    new:stop()
  end,
}
