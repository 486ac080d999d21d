--- A program that starts on a store (million.lua): what its first wrapper and provider take.
--- usage: keycycle wake.lua STORE|- KEYS. Prints milliseconds by the wall and of CPU
--- time, KiB of memory at most, and how many requests are known.
local keycycle = require "keycycle"
local proc = require "tests.support.proc"

local keys = {}
for i = 1, math.tointeger(arg[2]) do keys[i] = ("sk-proof-key-%06d"):format(i) end
local start, cpu = proc.mono(), os.clock()
local wrapper <close> = keycycle.MultiClientWrapper.new {
  db_url = arg[1] ~= "-" and arg[1] or nil, db_env_var = "KEYCYCLE_PROOF_NONE" }
wrapper:register_provider("many", { base_url = "http://127.0.0.1:1/v1", keys = keys,
  limits = { requests_per_minute = 60, requests_per_day = 10000 } })
local took, worked = proc.mono() - start, os.clock() - cpu
local file <close> = assert(io.open "/proc/self/status")
print(("%.1f %.1f %d %d"):format(took * 1000, worked * 1000, file:read "a":match "VmHWM:%s*(%d+)",
  wrapper:get_manager "many":get_global_stats().total.total_requests))
