--- The worker of outage.lua: calls at a steady pace, each timed, until it is told to stop.
--- usage: keycycle busy.lua STORE MODELS PACE, where PACE is calls a second (0: as many as
--- can be). A line on its input:
---   phase      begins to measure anew; answers "phase COUNT P50 P99 WORST" of what was:
---              microseconds of a get_key with its commit
---   stop       stops the wrapper, which writes what is left; answers "used KEY MODEL REQUESTS
---              TOKENS" for all that it did, then "stopped SECONDS"
local keycycle = require "keycycle"
local proc = require "tests.support.proc"
local shop = require "tests.proof.shop"

local KEPT = 20000 -- times of a phase; of more every second, fourth, … one is kept

local url, models, pace = table.unpack(arg)
models, pace = math.tointeger(models), tonumber(pace)
io.stdout:setvbuf "line"

keycycle.log.set_sink(function(level, line) shop.tell("log %s: %s", level, line) end)
local wrapper = shop.open(url, "-")
local manager = wrapper:get_manager "free"
local names, used = {}, {}
for i = 1, models do names[i] = "m" .. i end
for key = 1, #shop.KEYS do
  used[key] = {}
  for _, model in ipairs(names) do used[key][model] = { requests = 0, tokens = 0 } end
end

local times, seen, every = {}, 0, 1

local function note(seconds)
  seen = seen + 1
  if seen % every ~= 0 then return end
  times[#times + 1] = seconds
  if #times < KEPT then return end
  local half = {}
  for i = 2, #times, 2 do half[#half + 1] = times[i] end
  times, every = half, every * 2
end

local worst = 0
local function call_one()
  local model, tokens = names[math.random(models)], math.random(400)
  local start = proc.mono()
  local lease = manager:get_key(model)
  lease:commit(tokens)
  local took = proc.mono() - start
  worst = math.max(worst, took)
  note(took)
  local u = used[lease.index][model]
  u.requests, u.tokens = u.requests + 1, u.tokens + tokens
end

local function end_phase()
  table.sort(times)
  local function at(part) return (times[math.max(1, math.ceil(#times * part))] or 0) * 1e6 end
  shop.tell("phase %d %.1f %.1f %.1f", seen, at(0.5), at(0.99), worst * 1e6)
  times, seen, every, worst = {}, 0, 1, 0
end

local function stop()
  local start = proc.mono()
  wrapper:stop()
  local took = proc.mono() - start
  for key, by_model in ipairs(used) do
    for _, model in ipairs(names) do
      local u = by_model[model]
      shop.tell("used %d %s %d %d", key, model, u.requests, u.tokens)
    end
  end
  shop.tell("stopped %.3f", took)
end

shop.tell "ready"
local begin, made = proc.mono(), 0
while true do
  local due = pace > 0 and math.min(100, (proc.mono() - begin) * pace - made) or 100
  for _ = 1, due do call_one() end
  made = made + math.max(0, math.floor(due))
  keycycle.step(0)
  local word = proc.read(0, 0.002)
  if not word then break end
  if word:find "phase" then end_phase() end
  if word:find "stop" then
    stop()
    break
  end
end
