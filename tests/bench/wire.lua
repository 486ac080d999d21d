--- The benches of whole calls, over https on loopback: server.c answers on one core,
--- the client (ours, or baseline.c) runs on another.
---
--- BENCH_RUNS (1): how often each is run; the medians are printed. BENCH_SECONDS (10):
--- how long the long ones measure.
local shell = require "shell"
local tls = require "tls"

local wire = {}

local KEY, CONTENT = tls.KEY, tls.CONTENT
local RUNS = tonumber(os.getenv "BENCH_RUNS") or 1
local SECONDS = tonumber(os.getenv "BENCH_SECONDS") or 10
local BODY = ('{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%s"}]}'):format(CONTENT)

local function median_of(command)
  local lists = {}
  for i = 1, RUNS do lists[i] = shell.figures(command) end
  return shell.medians(lists)
end

local function print_ratio(name, ours, theirs)
  print(("%s_cpu %.1f us\n%s_baseline %.1f us\n%s_ratio %.2f x"):format(name, ours, name, theirs,
    name, ours / theirs))
end

-- The commands: ours and the baseline, by what the server is to do.
local function commands(build, url)
  local client = tls.client(build) .. build
  local function ours(what, tasks, seconds)
    return ("%s/keycycle tests/bench/load.lua %s/%s/v1 %s %s %d %g"):format(client, url, what, KEY,
      shell.quote(CONTENT), tasks, seconds)
  end
  local function baseline(what, places, seconds)
    return ("%s/tests/bench/baseline %s/%s/v1/chat/completions %s %s %d %g"):format(client, url,
      what, KEY, shell.quote(BODY), places, seconds)
  end
  return ours, baseline, client
end

-- One call after the other.
local function bench_calls(ours, baseline)
  local all, ratio = {}, {}
  for i = 1, 3 * RUNS do
    local us, least = shell.figures(ours("plain", 0, 1)), shell.figures(baseline("plain", 1, 1))
    all[i], ratio[i] = { us[1], least[1] }, { us[1] / least[1] }
  end
  local middle = shell.medians(all)
  print(("call_cpu %.1f us\ncall_baseline %.1f us\ncall_ratio %.2f x"):format(middle[1], middle[2],
    shell.medians(ratio)[1]))
end

-- A thousand streams, an event every 0.2 s in each.
local function bench_streams(ours, baseline)
  local us = median_of(ours("sse/200", 1000, SECONDS / 2))
  local least = median_of(baseline("sse/200", 1000, SECONDS / 2))
  print_ratio("event", us[1], least[1])
  print(("stream_memory %.1f KiB\nstream_memory_baseline %.1f KiB\nstream_memory_above %.1f KiB")
    :format(us[3] / 1024, least[3] / 1024, (us[3] - least[3]) / 1024))
end

-- As many answers a second, once of few calls and once of many.
local function bench_flight(ours, baseline)
  local few, many = median_of(ours("wait/200", 100, SECONDS / 2)),
    median_of(ours("wait/10000", 5000, SECONDS))
  print(("flight_100_cpu %.1f us\nflight_5000_cpu %.1f us\nflight_ratio %.2f x"):format(few[1],
    many[1], many[1] / few[1]))
  few, many = median_of(baseline("wait/200", 100, SECONDS / 2)),
    median_of(baseline("wait/10000", 5000, SECONDS))
  print(("flight_baseline_ratio %.2f x"):format(many[1] / few[1]))
end

-- What a host may say to Lua's collector. The last is its short steps: with the default
-- speed (100) one step sweeps fifty thousand objects.
local COLLECTORS = { { "generational", "generational" }, { "incremental", "incremental" },
  { "short_steps", "incremental 200 1" } }

-- A host that calls step(0, 0.001) every 2 ms.
local function bench_turns(client, url, closing)
  for i, one in ipairs(COLLECTORS) do
    local name, collector = one[1], shell.quote(one[2])
    local us = median_of(("%s/keycycle tests/bench/turns.lua %s %s %s %s 1000 %g 0.002 %s")
      :format(client, url, closing, KEY, shell.quote(CONTENT), 2 * SECONDS, collector))
    print(("turn_%s_median %.0f us\nturn_%s_p99 %.0f us\nturn_%s_worst %.0f us")
      :format(name, us[1], name, us[2], name, us[3]))
    if i == 1 then print(("handshake_cpu %.0f us"):format(us[4])) end
  end
end

--- Runs them and prints their figures.
---@param build string the folder
function wire.run(build)
  tls.certify(build)
  local server <close> = tls.server(build)
  local closing <close> = tls.server(build, "close")
  local ours, baseline, client = commands(build, server.url)
  bench_calls(ours, baseline)
  bench_streams(ours, baseline)
  bench_flight(ours, baseline)
  bench_turns(client, server.url, closing.url)
end

return wire
