--- get_key and commit from Lua with a store, beside memory only: prints the calling
--- thread's CPU time of a pair in nanoseconds, with and without, then the wall time of both.
--- usage: keycycle kept.lua URL, a store that is written.
---
--- The two take turns in one process, so that what disturbs, disturbs both, and a second
--- thread lives for both; of each the least counts.
local keycycle = require "keycycle"
local proc = require "tests.support.proc"

local COUNT, RUNS, MUCH = 50000, 16, 1 << 50

local function wrapper_of(opts)
  local wrapper = keycycle.MultiClientWrapper.new(opts)
  wrapper:register_provider("bench", { base_url = "http://127.0.0.1:1/v1",
    keys = { "sk-bench-0001", "sk-bench-0002", "sk-bench-0003" },
    limits = { requests_per_minute = MUCH, requests_per_hour = MUCH, requests_per_day = MUCH,
      tokens_per_minute = MUCH, tokens_per_hour = MUCH, tokens_per_day = MUCH } })
  return wrapper
end

local kept <close> = wrapper_of { db_url = arg[1] }
local bare <close> = wrapper_of { db_env_var = "KEYCYCLE_BENCH_NONE" }
local with_store, without = kept:get_manager "bench", bare:get_manager "bench"

local function pairs_of(manager, least)
  local wall, cpu = proc.mono(), proc.thread_cpu()
  for _ = 1, COUNT do
    local lease = manager:get_key "m"
    lease:commit(8)
  end
  least.cpu = math.min(least.cpu, (proc.thread_cpu() - cpu) / COUNT * 1e9)
  least.wall = math.min(least.wall, (proc.mono() - wall) / COUNT * 1e9)
end

local a, b = { cpu = math.huge, wall = math.huge }, { cpu = math.huge, wall = math.huge }
for _ = 1, RUNS do
  pairs_of(with_store, a)
  pairs_of(without, b)
end
print(("%.1f %.1f %.1f %.1f"):format(a.cpu, b.cpu, a.wall, b.wall))
