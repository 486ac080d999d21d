--- A wrapper's keys, limits and leases on a manual clock.
local keycycle = require "keycycle"

local DAY = 86400

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function settings(choose)
  return {
    base_url = "http://127.0.0.1:9/v1", default_model = "m", selection = choose,
    keys = {
      { api_key = "sk-oom-first-0001", label = "first", group = "org", params = { region = "eu" } },
      { api_key = "sk-oom-second-002", group = "org", weight = 2 },
      { api_key = "sk-oom-third-0003", models = { "m", "small" }, priority = 1 },
    },
    limits = { default = { requests_per_minute = 50, tokens_per_day = 100000,
      day_resets_at = "America/Los_Angeles", windows = { { seconds = 10, requests = 30 },
        { seconds = 3600, input_tokens = 50000, output_tokens = 60000 } } },
      small = { requests_per_minute = 2 } },
    key_limits = { [2] = function(_, index)
      return { requests_per_minute = 10 + index, concurrent_requests = 4,
        tokens_per_day = 90000 }
    end },
  }
end

local function first_of(list) return list[1].index end

-- A call: what it takes at most and at least goes into the books.
local function call(w, name, opts, used)
  w.calls = w.calls or {}
  local c = w.calls[name] or { reserved = opts.estimated_tokens, tries = 0, done = 0 }
  w.calls[name] = c
  c.used = used
  c.tries = c.tries + 1
  local lease <close> = got(w.manager:get_key(opts.model, opts))
  assert(lease.model == (opts.model or "m"))
  if used then lease:commit(used) else lease:cancel() end
  c.done = c.done + 1
end

local function by_model(manager, model)
  local out = {}
  for _, key in ipairs(manager:explain(model)) do out[key.index] = key end
  return out
end

return {
  { "clock", function(w) w.clock = got(keycycle.clock.manual(1.7e9)) end },
  { "wrapper", function(w) w.wrapper = keycycle.MultiClientWrapper.new { clock = w.clock } end },
  { "register", function(w) w.wrapper:register_provider("local", settings(first_of)) end },
  { "manager", function(w) w.manager = w.wrapper:get_manager "local" end },
  { "commit", function(w) call(w, "commit", { estimated_tokens = 10 }, 7) end },
  { "cancel", function(w) call(w, "cancel", { estimated_tokens = 3, model = "other" }) end },
  { "register again", function(w) w.wrapper:register_provider("local", settings()) end },
  { "hold", function(w)
    w.lease = w.lease or got(w.manager:get_key("small", { estimated_tokens = 4 }))
    w.held = 1
    assert(w.lease.api_key and w.lease.suffix and w.lease.params and tostring(w.lease))
  end },
  { "headers", function(w)
    w.lease:headers { ["x-ratelimit-limit-requests"] = "5",
      ["x-ratelimit-remaining-requests"] = "4" }
  end },
  { "settle", function(w)
    if not w.lease.settled then w.lease:commit { input_tokens = 1, output_tokens = 8 } end
    w.held = 0
  end },
  { "add", function(w)
    w.added = w.manager:add_key { api_key = "sk-oom-fourth-0004", params = { region = "us" } }
  end },
  { "specific", function(w)
    local lease <close> = got(w.manager:get_specific_key(2, "m", { affinity = "who" }))
    w.specific = (w.specific or 0) + 1
    lease:cancel()
  end },
  { "states", function(w)
    w.manager:disable(2)
    w.manager:reset(2)
    w.manager:force_rotate_index()
  end },
  { "statistics", function(w)
    w.manager:get_global_stats()
    w.manager:get_key_stats "0003"
    w.manager:get_model_stats "m"
    w.manager:get_granular_stats(1, "m")
    assert(w.manager:get_key_stats "nothing" == nil)
    assert(#w.manager:metrics() > 100)
    assert(w.manager:next_available("m", 5) == 0)
    assert(select(2, w.manager:next_available("m", 10000000)) == "impossible")
  end },
  { "refused", function(w)
    local lease <close> = got(w.manager:get_key(nil, { estimated_tokens = 1 }))
    w.refused = (w.refused or 0) + 1
    assert(lease:fail({ status = 429, headers = { ["retry-after"] = "30" } }).kind == "quota")
  end },
  { "limits by function", function(w)
    w.wrapper:register_provider("asked", { base_url = "http://127.0.0.1:9/v1",
      keys = { "sk-oom-first-0001" },
      limits = function(_, index) return { requests_per_minute = index } end })
    w.asked = w.wrapper:get_manager "asked"
    local lease <close> = got(w.asked:get_key "m")
    lease:cancel()
  end },
  { "one more", function(w) w.asked:add_key "sk-oom-second-002" end },
  { "remove", function(w)
    local ok, err = pcall(w.manager.remove_key, w.manager, 1)
    if not ok and err.code ~= "not_found" then error(err, 0) end
  end },
  { "advance", function(w)
    if w.clock:now() < 1.7e9 + DAY then w.clock:advance(DAY) end
  end },
  -- Keys are never there without their limits.
  after = function(w)
    if not w.manager then return end
    local ok, keys = pcall(w.manager.explain, w.manager, "m")
    if not ok and keys.code ~= "no_memory" then error(keys, 0) end
    for _, key in ipairs(ok and keys or {}) do assert(key.limits.requests_per_minute) end
    for _, key in ipairs(w.asked and w.asked:explain "m" or {}) do
      assert(key.limits.requests_per_minute == key.index)
    end
  end,
  check = function(w)
    local m = w.manager
    local list, stats = {}, m:get_global_stats()
    for _, key in ipairs(m:keys()) do list[#list + 1] = key.index .. key.suffix:sub(-3) end
    assert(table.concat(list, " ") == "2002 3003 4004", table.concat(list, " "))
    assert(w.added == 4)
    -- Each commit that was told is there; what failed before may count as reserved.
    local least, most = 9, 9 + 4
    for _, c in pairs(w.calls) do
      assert(c.done == 1)
      least = least + (c.used or 0)
      most = most + (c.used or 0) + (c.tries - 1) * math.max(c.reserved, c.used or 0)
    end
    most = most + 2
    local tokens = stats.total.total_tokens
    assert(tokens >= least and tokens <= most, ("%d tokens, %d to %d"):format(tokens, least, most))
    -- Limits: of all, of the model, and what the function says of the second key.
    local limits = by_model(m, "m")
    assert(limits[2].limits.requests_per_minute == 12)
    assert(limits[2].limits.concurrent_requests == 4)
    assert(limits[3].limits.requests_per_minute == 50)
    assert(limits[4].limits.tokens_per_day == 100000)
    assert(by_model(m, "small")[4].limits.requests_per_minute == 2)
    w.wrapper:stop()
  end,
}
