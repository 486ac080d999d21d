--- Tiers, names with a star, models that stand apart, and what headers tell of input and
--- output: no key may ever be used beyond its plan.
local keycycle = require "keycycle"

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function keys(second)
  return { "sk-oom-first-0001", { api_key = "sk-oom-second-002", tier = second } }
end

local plans = { [1] = 20, [2] = 500, [3] = 500 }

local function check_plans(manager, model, expected)
  local ok, list = pcall(manager.explain, manager, model)
  if not ok and list.code ~= "no_memory" then error(list, 0) end
  for _, key in ipairs(ok and list or {}) do
    local rpm = key.limits.requests_per_minute
    assert(rpm == expected[key.index], ("key %d: %s"):format(key.index, rpm))
  end
end

return {
  { "clock", function(w) w.clock = got(keycycle.clock.manual(1.7e9)) end },
  { "wrapper", function(w) w.wrapper = keycycle.MultiClientWrapper.new { clock = w.clock } end },
  { "register", function(w)
    w.wrapper:register_provider("cohere", { keys = keys "pro", default_model = "command-r" })
  end },
  { "manager", function(w) w.manager = w.wrapper:get_manager "cohere" end },
  { "by name and by pattern", function(w)
    for _, model in ipairs { "command-r", "rerank-v3.5" } do
      local lease <close> = got(w.manager:get_key(model))
      lease:cancel()
    end
  end },
  { "add", function(w)
    w.added = w.manager:add_key { api_key = "sk-oom-third-0003", tier = "pro" }
  end },
  { "unknown tier", function(w)
    local ok, err = pcall(w.manager.add_key, w.manager, { api_key = "sk-oom-x", tier = "gold" })
    assert(not ok)
    if err.code == "no_memory" or err.memory or type(err) == "string" then error(err, 0) end
  end },
  { "register again", function(w)
    w.wrapper:register_provider("cohere", { keys = keys "free", key_tiers = { [2] = "pro" },
      tier_limits = { pro = { ["c*"] = { requests_per_minute = 500 } } } })
    w.again = true
  end },
  { "apart", function(w)
    w.wrapper:register_provider("openrouter", { keys = keys "credits" })
    w.router = w.wrapper:get_manager "openrouter"
    for _, model in ipairs { "x/a:free", "x/b" } do
      local lease <close> = got(w.router:get_key(model))
      lease:cancel()
    end
  end },
  { "headers", function(w)
    w.wrapper:register_provider("anthropic", { keys = keys() })
    w.claude = w.wrapper:get_manager "anthropic"
    local lease <close> = got(w.claude:get_specific_key(1, "claude-x"))
    lease:headers { ["anthropic-ratelimit-input-tokens-limit"] = "100",
      ["anthropic-ratelimit-input-tokens-remaining"] = "40" }
    lease:commit { input_tokens = 5, output_tokens = 5 }
  end },
  after = function(w)
    if w.manager and not w.again then check_plans(w.manager, "command-r", plans) end
    if w.router then check_plans(w.router, "x/a:free", { 20, 20 }) end
  end,
  check = function(w)
    check_plans(w.manager, "command-r", { 20, 500 })
    check_plans(w.manager, "rerank-v3.5", { 10, 10 })
    check_plans(w.router, "x/a:free", { 20, 20 })
    check_plans(w.router, "x/b", {})
    assert(w.added == 3)
    w.wrapper:stop()
  end,
}
