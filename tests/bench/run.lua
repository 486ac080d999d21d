--- make bench: prints `name value unit` lines; every figure stands beside a
--- baseline measured in the same run against the same mock.
local build = os.getenv "KEYCYCLE_BUILD" or "build"
local COUNT = tonumber(os.getenv "BENCH_CALLS") or 1000
local RUNS = 3

local function start_mock()
  local pipe = assert(io.popen("exec " .. build .. "/keycycle mock --port 0 --keys sk-bench-0001"))
  local line = assert(pipe:read "l", "the mock did not start")
  local url, pid = line:match "(http://%S+) %(pid (%d+)%)"
  return assert(url, line), pid, pipe
end

local function figure(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command .. " failed")
  return assert(tonumber(text), text)
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

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
