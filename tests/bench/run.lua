--- make bench: prints `name value unit` lines; every figure stands beside a
--- baseline of the same run: M a mutex pair, C a reading of the clock, and for whole
--- calls (wire.lua) a C program that sends and reads the same bytes.
local build = os.getenv "KEYCYCLE_BUILD" or "build"
package.path = "tests/bench/?.lua;" .. package.path

local frame = require "frame"
local shell = require "shell"
local start = require "start"
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

-- The same with a store, beside memory only, from Lua and from C: the calling thread's
-- time, and the wall's.
local function bench_kept()
  for name, program in pairs { lua = "keycycle tests/bench/kept.lua", c = "tests/bench/kept" } do
    local store = os.tmpname()
    local f = shell.figures(("%s/%s sqlite:%s"):format(build, program, store))
    for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(store .. tail) end
    print(("%s_kept_pair %.1f ns"):format(name, f[1]))
    print(("%s_kept_ratio %.2f x\n%s_kept_wall_ratio %.2f x"):format(name, f[1] / f[2], name,
      f[3] / f[4]))
  end
end

-- BENCH=wire leaves out all but the whole calls.
if os.getenv "BENCH" ~= "wire" then
  local m, c = bench_engine()
  bench_lease(m + c)
  bench_kept()
  io.write(shell.output(build .. "/tests/bench/store"))
  start.run(build)
end
wire.run(build)
frame.run(build)
