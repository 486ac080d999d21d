--- What a host in C does beside its loop: it sets the log's sink, loads a folder of
--- scripts, and closes all that goes on in the state, which lives on.
local keycycle = require "keycycle"

local host

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

-- The code of a function for hosts, which raises nothing itself.
local function call(name, ...)
  local code = host(name, ...)
  if code ~= "ok" then error({ code = code, message = name }, 0) end
end

return {
  { "log", function(w)
    host = w.oom.call
    call "log"
  end },
  { "load", function(w) call("load", w.oom.dir .. "/../unit") end },
  { "begin", function(w)
    w.wrapper = keycycle.MultiClientWrapper.new { store = { load = function() end,
      save = function(data) w.saved = data end } }
    w.wrapper:register_provider("local", { base_url = "http://127.0.0.1:9/v1",
      keys = { "sk-oom-first-0001" } })
    got(w.wrapper:get_manager "local":get_key "m"):commit(3)
    w.tasks = {}
    for i = 1, 3 do
      w.tasks[i] = keycycle.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() w.ended = true end })
        if i == 2 then pcall(keycycle.sleep, 3600) coroutine.yield() end
        keycycle.sleep(3600)
      end)
    end
    keycycle.step(0)
  end },
  { "close", function() call "close" end },
  check = function(w)
    for _, t in ipairs(w.tasks) do
      local ended = t:status() -- failed: for want of memory
      assert(ended == "cancelled" or ended == "failed", ended)
    end
    assert(w.ended and w.saved, "nothing was saved")
    assert(tostring(w.wrapper):find "stopped")
    assert(keycycle.step() == 0)
    local ok, err = pcall(keycycle.spawn, print)
    assert(not ok and err.code == "closed")
    call "close"
  end,
}
