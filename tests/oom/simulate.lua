--- A simulated hour: the same seed tells the same, however often it is asked.
local keycycle = require "keycycle"

local function ask()
  return keycycle.simulate { limits = { requests_per_minute = 4, tokens_per_hour = 900 },
    keys = 2, calls_per_hour = 30, tokens = 30, hours = 1, timeout = 20, seed = 5 }
end

local function words(r)
  return ("%d %d %d %.3f"):format(r.served, r.waited, r.refused, r.wait_p99)
end

return {
  { "simulate", function(w) w.result = ask() end },
  check = function(w) assert(words(w.result) == words(ask())) end,
}
