--- The frame host over https: 300 calls under way, 20 of them streaming, sixty frames a
--- second. Prints the CPU time of the calls of keycycle_step (median, 99th percentile,
--- worst), their time on the wall, and apart what one TLS handshake takes.
---
--- It runs alone, too: KEYCYCLE_BUILD=build build/keycycle tests/bench/frame.lua
--- FRAME_SECONDS (30): how long it measures; FRAME_COLLECTOR ("generational"): what is
--- given to collectgarbage; FRAME_BUDGET_US (1000): what a step is given; FRAME_WITH: what
--- goes before the program, as "perf record".
package.path = "tests/bench/?.lua;" .. package.path

local shell = require "shell"
local tls = require "tls"

local frame = {}

local CALLS, STREAMS, FPS = 300, 20, 60
local SECONDS = tonumber(os.getenv "FRAME_SECONDS") or 30

--- Runs it and prints the figures.
---@param build string the folder
function frame.run(build)
  tls.certify(build)
  local server <close> = tls.server(build)
  local closing <close> = tls.server(build, "close")
  local frames = math.tointeger(SECONDS * FPS)
  local collector = os.getenv "FRAME_COLLECTOR" or "generational"
  local text = shell.output(("%s %s %s/tests/hosts/frame 1 %d %d tests/bench/frame_calls.lua "
    .. "%s %s %s %s %d %d %d %s"):format(tls.client(build), os.getenv "FRAME_WITH" or "", build,
    FPS, frames, server.url, closing.url, tls.KEY, shell.quote(tls.CONTENT), CALLS, STREAMS,
    frames, shell.quote(collector)))
  for line in text:gmatch "[^\n]+" do print("frame_" .. line) end
end

if arg[0]:find "frame%.lua$" then
  local build = os.getenv "KEYCYCLE_BUILD" or "build"
  shell.output(("make -s BUILD=%s %s/tests/bench/server %s/tests/hosts/frame"):format(build, build,
    build))
  frame.run(build)
end

return frame
