--- get_key and commit from Lua: prints the CPU time of a pair in nanoseconds, and
--- the bytes that it allocates beside those of one lease. usage: keycycle lease.lua
--- STORE, a file that is written.
---
--- Six windows live, the real clock, the collector at work. A second thread lives,
--- as in the bench of the engine: the writer of another wrapper's store.
local keycycle = require "keycycle"
local core = require "keycycle.core"

local COUNT, RUNS, KEY = 200000, 5, "sk-bench-0001"
local MUCH = 1 << 50

local other <close> = keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. arg[1] }
other:register_provider("idle", { base_url = "http://127.0.0.1:1/v1", keys = { KEY } })
local wrapper <close> = keycycle.MultiClientWrapper.new {}
wrapper:register_provider("bench", {
  base_url = "http://127.0.0.1:1/v1",
  keys = { KEY },
  limits = { requests_per_minute = MUCH, requests_per_hour = MUCH, requests_per_day = MUCH,
    tokens_per_minute = MUCH, tokens_per_hour = MUCH, tokens_per_day = MUCH },
})
local manager = wrapper:get_manager "bench"

local function pairs_of(n)
  for _ = 1, n do
    local lease = manager:get_key "m"
    lease:commit(8)
  end
end

local function bytes_of(fn, n)
  collectgarbage()
  collectgarbage "stop"
  fn(1) -- what the collection has taken from the stack comes back
  local before = collectgarbage "count"
  fn(n)
  local bytes = (collectgarbage "count" - before) * 1024 / n
  collectgarbage "restart"
  return bytes
end

local pool = core.pool { provider = "bench" }
pool:add_key { api_key = KEY }
local function leases_of(n)
  for _ = 1, n do pool:acquire "m" end
end

pairs_of(COUNT)
leases_of(1)
local least = math.huge
for _ = 1, RUNS do
  local start = os.clock()
  pairs_of(COUNT)
  least = math.min(least, (os.clock() - start) / COUNT * 1e9)
end
print(("%.1f %.1f %.1f"):format(least, bytes_of(pairs_of, 1000), bytes_of(leases_of, 1000)))
