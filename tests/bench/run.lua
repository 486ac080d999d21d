--- make bench: prints `name value unit` lines; every figure stands beside a
--- baseline of the same run: M a mutex pair, C a reading of the clock, and for whole
--- calls a C program against the same mock.
local build = os.getenv "KEYCYCLE_BUILD" or "build"
local COUNT = tonumber(os.getenv "BENCH_CALLS") or 1000
local RUNS = 3

local function start_mock()
  local pipe = assert(io.popen("exec " .. build .. "/keycycle mock --port 0 --keys sk-bench-0001"))
  local line = assert(pipe:read "l", "the mock did not start")
  local url, pid = line:match "(http://%S+) %(pid (%d+)%)"
  return assert(url, line), pid, pipe
end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command .. " failed")
  return text
end

local function figure(command)
  local text = output(command)
  return assert(tonumber(text), text)
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- The engine's lines, and what they say of a mutex pair and a clock reading.
local function bench_engine()
  local text = output(build .. "/tests/bench/engine")
  io.write(text)
  return assert(tonumber(text:match "mutex_pair ([%d.]+)")),
    assert(tonumber(text:match "clock_read ([%d.]+)"))
end

local function bench_lease(unit)
  local store = os.tmpname()
  local text = output(("%s/keycycle tests/bench/lease.lua %s"):format(build, store))
  os.remove(store)
  local ns, bytes, lease = text:match "(%S+) (%S+) (%S+)"
  print(("lua_get_key_commit %.1f M+C"):format(ns / unit))
  print(("lua_get_key_bytes %s B\nlua_lease_bytes %s B"):format(bytes, lease))
end

local m, c = bench_engine()
bench_lease(m + c)

local content = ("All work and no play makes a dull benchmark. "):rep(20)
local body = ('{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%s"}]}'):format(content)

local url, pid, pipe = start_mock()
local ours, theirs, ratios = {}, {}, {}
local ok, err = pcall(function()
  for i = 1, RUNS do
    ours[i] = figure(("%s/keycycle tests/bench/calls.lua %s sk-bench-0001 %d %s")
      :format(build, url, COUNT, quote(content)))
    theirs[i] = figure(("%s/tests/bench/baseline %s/chat/completions sk-bench-0001 %s %d")
      :format(build, url, quote(body), COUNT))
    ratios[i] = ours[i] / theirs[i]
  end
end)
os.execute("kill " .. pid)
pipe:close()
if not ok then error(err, 0) end

print(("call_cpu %.1f us"):format(median(ours)))
print(("baseline_cpu %.1f us"):format(median(theirs)))
print(("call_ratio %.2f x"):format(median(ratios)))
