--- Usage in a store of the program's own: it is given all that was committed, whatever
--- failed before, and what it cannot keep is told and kept for the next try.
local keycycle = require "keycycle"

local PAGE = 3

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function own(w)
  return { every = 1, load = function() return w.saved end, save = function(data)
    if w.full then error("no room", 0) end
    w.saved, w.saves = data, w.saves + 1
  end }
end

local function open(w)
  local wrapper = keycycle.MultiClientWrapper.new { store = own(w), clock = w.clock,
    keep_days = 9 }
  wrapper:register_provider("local", { base_url = "http://127.0.0.1:9/v1",
    keys = { "sk-oom-first-0001", "sk-oom-second-002" }, limits = { requests_per_day = 90 } })
  return wrapper, wrapper:get_manager "local"
end

local function use(w, upto)
  for _ = w.done + 1, upto do
    local lease <close> = got(w.manager:get_key("m", { estimated_tokens = 5 }))
    lease:commit(4)
    w.done = w.done + 1
  end
end

return {
  { "open", function(w)
    w.done, w.saves, w.clock = 0, 0, w.clock or keycycle.clock.manual(1.7e9)
    w.wrapper, w.manager = open(w)
  end },
  { "use", function(w) use(w, PAGE) end },
  { "put a key away", function(w)
    if w.manager:keys()[2].state ~= "ready" then return end
    got(got(w.manager:get_specific_key(2, "n")):cooldown(40))
  end },
  { "save", function(w) w.wrapper:save() end },
  { "use more", function(w) use(w, 2 * PAGE) end },
  { "save in a turn", function(w)
    w.clock:advance(2)
    keycycle.step(0)
  end },
  { "use what only the end can save", function(w) use(w, 3 * PAGE) end },
  { "no room", function(w)
    w.full = true
    local ok, err = pcall(w.wrapper.save, w.wrapper)
    w.full = false
    if ok or err.code ~= "store" then error(err, 0) end
  end },
  { "load what is no store's", function(w)
    local ok, err = pcall(keycycle.MultiClientWrapper.new, { clock = w.clock,
      store = { load = function() return { version = 9 } end, save = print } })
    if ok or err.code ~= "corrupt" then error(err, 0) end
  end },
  { "stop", function(w)
    w.manager = nil
    w.wrapper:stop()
  end },
  { "open again", function(w) w.again, w.manager = open(w) end },
  { "stop while it cannot be saved", function(w)
    w.manager, w.full = nil, true
    w.again:stop()
    w.full = false
  end },
  { "open once more", function(w) w.last, w.manager = open(w) end },
  check = function(w)
    local total = w.manager:get_global_stats().total
    assert(w.manager:keys()[2].state == "cooling", w.manager:keys()[2].state)
    w.last:stop()
    -- An attempt that failed on its way may count as sent.
    local hits = w.oom.hits()
    local requests, tokens = total.total_requests, total.total_tokens
    assert(requests >= w.done + 1 and requests <= w.done + 1 + hits, requests)
    assert(tokens >= 4 * w.done and tokens <= 4 * w.done + 5 * (1 + hits), tokens)
    if hits == 0 then assert(requests == w.done + 1 and w.saves >= 3, w.saves) end
  end,
}
