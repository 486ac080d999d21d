--- Events: who subscribed is told of each acquisition that was told to the caller.
local keycycle = require "keycycle"

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function use(w)
  local lease <close> = got(w.manager:get_key "m")
  lease:commit(1)
  w.used = w.used + 1
end

local function step(n)
  return { "use " .. n, function(w) if w.used < n then use(w) end end }
end

return {
  { "wrapper", function(w)
    w.used, w.seen = 0, 0
    w.clock = got(keycycle.clock.manual(1.7e9))
    w.wrapper = keycycle.MultiClientWrapper.new { clock = w.clock }
    w.wrapper:register_provider("local", { base_url = "http://127.0.0.1:9/v1",
      keys = { "sk-oom-first-0001", "sk-oom-second-002" }, limits = { requests_per_minute = 9 } })
    w.manager = w.wrapper:get_manager "local"
  end },
  { "subscribe", function(w)
    w.stop = w.manager:on("acquire", function(event)
      assert(event.provider == "local" and event.suffix)
      w.seen = w.seen + 1
    end)
  end },
  step(1), step(2), step(3),
  { "deliver", function(w) w.live = keycycle.step(0) end },
  { "another", function(w)
    w.other = w.manager:on("cooldown", function(event) w.cooled = event.key_index end)
  end },
  { "cool", function(w)
    if w.cooled then return end
    local lease <close> = got(w.manager:get_key "m")
    got(lease:cooldown(5))
    lease:refuse()
  end },
  { "deliver again", function() keycycle.step(0) end },
  { "leave", function(w)
    w.stop()
    w.other()
  end },
  { "host", function(w)
    if not w.oom.host() and w.oom.hits() == 0 then error "the host's functions failed" end
  end },
  check = function(w)
    -- The function may have been called and have failed itself, which is logged.
    assert(w.live == 0 and w.seen >= 2 and w.seen <= w.used + 4, w.seen)
    if w.oom.hits() == 0 then assert(w.seen == 4 and w.cooled) end
    -- A wrapper that nobody stops ends by itself.
    local dropped = keycycle.MultiClientWrapper.new { clock = w.clock }
    dropped:register_provider("dropped", { base_url = "http://127.0.0.1:9/v1",
      keys = { "sk-oom-first-0001" } })
    dropped:get_manager "dropped":on("acquire", print)
  end,
}
