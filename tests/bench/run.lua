--- make bench: prints `name value unit` lines; every figure stands beside a
--- baseline of the same run: M a mutex pair, C a reading of the clock, and for whole
--- calls (wire.lua) a C program that sends and reads the same bytes.
local build = os.getenv "KEYCYCLE_BUILD" or "build"
package.path = "tests/bench/?.lua;" .. package.path

local shell = require "shell"
local wire = require "wire"

-- The engine's lines, and what they say of a mutex pair and a clock reading.
local function bench_engine()
  local text = shell.output(build .. "/tests/bench/engine")
  io.write(text)
  return assert(tonumber(text:match "mutex_pair ([%d.]+)")),
    assert(tonumber(text:match "clock_read ([%d.]+)"))
end

local function bench_lease(unit)
  local store = os.tmpname()
  local text = shell.output(("%s/keycycle tests/bench/lease.lua %s"):format(build, store))
  os.remove(store)
  local ns, bytes, lease = text:match "(%S+) (%S+) (%S+)"
  print(("lua_get_key_commit %.1f M+C"):format(ns / unit))
  print(("lua_get_key_bytes %s B\nlua_lease_bytes %s B"):format(bytes, lease))
end

-- The same with a store, beside memory only: the calling thread's time, and the wall's.
local function bench_kept()
  local store = os.tmpname()
  local figures = shell.figures(("%s/keycycle tests/bench/kept.lua sqlite:%s"):format(build, store))
  for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(store .. tail) end
  print(("lua_kept_pair %.1f ns"):format(figures[1]))
  print(("lua_kept_ratio %.2f x\nlua_kept_wall_ratio %.2f x"):format(figures[1] / figures[2],
    figures[3] / figures[4]))
end

-- BENCH=wire leaves out all but the whole calls.
if os.getenv "BENCH" ~= "wire" then
  local m, c = bench_engine()
  bench_lease(m + c)
  bench_kept()
end
wire.run(build)
