--- What limits and keys would do to a day of traffic: the engine itself, on a
--- clock that is only a number.
local core = require "keycycle.core"
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local limit_plan = require "keycycle.limit.plan"
local limit_table = require "keycycle.limit.table"

local simulate = {}

local MODEL = "simulated"
local TIMEOUT = 10 -- seconds, as a call's own default
local MOST_CALLS = 10000000

local fields = { limits = "table", keys = "number", calls_per_hour = "number", tokens = "number",
  hours = "number", timeout = "number", selection = "string", seed = "number", model = "string" }

local function invalid(fmt, ...)
  errors.invalid("simulate: " .. fmt, ...)
end

local function check(given)
  if type(given) ~= "table" then invalid("a table is needed, not a %s", type(given)) end
  for name, value in pairs(given) do
    local want = fields[name]
    if not want then
      invalid("there is no option %q (known: %s)", tostring(name), errors.list(fields))
    end
    if type(value) ~= want then invalid("%s must be a %s", name, want) end
    if want == "number" and not (value >= 0 and value < math.huge) then
      invalid("%s must be a number, not negative", name)
    end
  end
  for _, name in ipairs { "keys", "tokens" } do
    if given[name] and not math.tointeger(given[name]) then
      invalid("%s must be a whole number", name)
    end
  end
  if not given.calls_per_hour then invalid "calls_per_hour is missing" end
  if given.keys and (given.keys < 1 or given.keys > 10000) then
    invalid "keys goes from 1 to 10000"
  end
  if given.calls_per_hour * (given.hours or 24) > MOST_CALLS then
    invalid("more than %d calls", MOST_CALLS)
  end
end

local function got(value, err)
  if value == nil then error(errors.from_core(err), 0) end
  return value
end

local function read_limits(given)
  local level = limit_table.level(given.limits, "limits")
  for model in pairs(level and level.by_model or {}) do
    if model ~= "default" and not given.model then
      invalid "limits by model need model, the one that is called"
    end
  end
  return level
end

local function new_pool(given, clock)
  local settings = config.check_provider("simulate", { selection = given.selection })
  local pool = got(core.pool { provider = "simulate", clock = clock,
    selection = settings.selection })
  for i = 1, given.keys or 1 do
    got(pool:add_key { api_key = ("sk-simulated-%08d"):format(i) })
  end
  local plan = limit_plan.new { all = read_limits(given), own = {}, tiers = {} }
  plan:apply(pool)
  plan:evaluate(pool, given.model or MODEL, {})
  return pool
end

-- Times between arrivals: exponential, which is how independent callers come.
-- The same seed gives the same day (xorshift64*, Vigna 2014).
local function arrivals(given)
  local state = (math.tointeger(given.seed) or 1) * 2 + 1
  local mean = 3600 / given.calls_per_hour
  return function()
    state = state ~ (state >> 12)
    state = state ~ (state << 25)
    state = state ~ (state >> 27)
    local unit = ((state * 0x2545F4914F6CDD1D) >> 11) / (1 << 53)
    return -math.log(1 - unit) * mean
  end
end

local function percentile(sorted, share)
  if #sorted == 0 then return 0 end
  return sorted[math.max(1, math.ceil(#sorted * share))]
end

-- The engine counts in milliseconds; so do we, in whole ones.
local function now_ms(run)
  return math.floor(run.clock:now() * 1000 + 0.5)
end

local function advance_to(run, ms)
  local step = ms - now_ms(run)
  if step > 0 then run.clock:advance(step / 1000) end
end

-- One caller at the head of the line, who may be granted at some time up to
-- `until_ms` or, when that is nil, whenever it is his turn.
local function serve_head(run, until_ms)
  local came = run.line[run.first]
  local wait, err = run.pool:next_available(run.model, run.tokens)
  if not wait and err.code ~= "impossible" then error(errors.from_core(err), 0) end
  local at = wait and now_ms(run) + math.ceil(wait * 1000 - 0.5)
  if not at or at > came + run.timeout * 1000 then
    run.refused = run.refused + 1
  else
    if until_ms and at > until_ms then return false end
    advance_to(run, at)
    got(run.pool:acquire(run.model, run.tokens)):commit(run.tokens)
    run.waits[#run.waits + 1] = (at - came) / 1000
    if at > came then run.waited = run.waited + 1 end
  end
  run.line[run.first] = nil
  run.first = run.first + 1
  return true
end

--- Runs `hours` (24) of `calls_per_hour` calls of `tokens` (0) each over `keys` (1)
--- keys with `limits`, each call waiting at most `timeout` seconds (10) in line.
--- `model` says whose limits hold where they are by model.
--- Callers arrive independently of one another; the same `seed` gives the same day.
---@param given table
---@return table `{ served, waited, refused, wait_p50, wait_p99 }`: counts, and
--- seconds that the served ones waited
function simulate.run(given)
  check(given)
  local clock = core.manual_clock(0)
  local run = { clock = clock, pool = new_pool(given, clock), model = given.model or MODEL,
    tokens = given.tokens or 0, timeout = given.timeout or TIMEOUT, line = {}, first = 1,
    last = 0, waits = {}, waited = 0, refused = 0 }
  local pause, now, till = arrivals(given), 0, (given.hours or 24) * 3600
  while given.calls_per_hour > 0 do
    now = now + pause()
    if now >= till then break end
    local ms = math.floor(now * 1000)
    while run.first <= run.last and serve_head(run, ms) do end
    advance_to(run, ms)
    run.last = run.last + 1
    run.line[run.last] = ms
  end
  while run.first <= run.last do serve_head(run) end
  run.pool:close()
  table.sort(run.waits)
  return { served = #run.waits, waited = run.waited, refused = run.refused,
    wait_p50 = percentile(run.waits, 0.5), wait_p99 = percentile(run.waits, 0.99) }
end

return simulate
