--- driver.lua (oom, name): one scenario, whose allocations fail as the program was
--- told. A step that fails must say that memory was short; then memory is there
--- again, nothing may be in flight that nobody holds, and the step works.
---
--- A scenario returns `{ { name, function(world) }…, check = function(world) }`; a
--- step can be done again. Of the world, `manager` is looked at after a failure and
--- `held` says how many leases the scenario holds; `after` looks at more.
local oom, name = ...

-- Lua 5.4's own buffers stay broken for good where the first large one finds no
-- memory for its class: that is not ours to test.
local _ = ("x"):rep(100000)

local function say_memory(err)
  if type(err) == "string" then
    return err:find("not enough memory", 1, true) or err:find("out of memory", 1, true)
  end
  return type(err) == "table" and (err.code == "no_memory" or err.memory)
end

local function words(err)
  if type(err) ~= "table" or not err.code then return tostring(err) end
  return ("%s (%s: %s)"):format(tostring(err), err.code, tostring(err.message))
end

local function check_in_flight(world, where)
  if not world.manager then return end
  for _ = 1, 3 do require("keycycle").step(0) end -- tasks that were cancelled end
  local in_flight = world.manager:get_global_stats().total.in_flight
  if in_flight ~= (world.held or 0) then
    error(("%s: %d in flight, %d held"):format(where, in_flight, world.held or 0), 0)
  end
end

if name ~= "open" then require("keycycle").log.set_level "off" end
local scenario = dofile(oom.dir .. "/" .. name .. ".lua")
local world = { oom = oom }
local try = oom.try
for _, step in ipairs(scenario) do
  local label, fn = step[1], step[2]
  local ok, err = try(fn, world)
  if not ok then
    if oom.hits() == 0 then error(label .. ": " .. words(err), 0) end
    if not say_memory(err) then
      error(("%s failed for another reason: %s"):format(label, words(err)), 0)
    end
    try = pcall -- memory is there again
    collectgarbage()
    collectgarbage() -- what finalizers let go of
    check_in_flight(world, label)
    if scenario.after then scenario.after(world) end
    ok, err = pcall(fn, world)
    if not ok then error(("%s, again: %s"):format(label, words(err)), 0) end
  end
end
collectgarbage()
collectgarbage()
check_in_flight(world, "the end")
if scenario.check then scenario.check(world) end

-- The state can be used still.
local keycycle = require "keycycle"
local clock = keycycle.clock.manual(1.7e9)
local wrapper <close> = keycycle.MultiClientWrapper.new { clock = clock }
wrapper:register_provider("sanity", { base_url = "http://127.0.0.1:9/v1",
  keys = { "sk-sanity-00000001" }, limits = { requests_per_minute = 1 } })
local manager = wrapper:get_manager "sanity"
assert(manager:get_key("m")):commit(3)
local lease, err = manager:get_key "m"
assert(lease == nil and err.code == "limited")
assert(manager:get_global_stats().total.total_tokens == 3)
assert(keycycle.run(function() return 7 end) == 7)
