--- So many tasks with one call each under way, each followed by the next one, through
--- the whole client; without tasks (0) one call after the other. Once every task has had
--- an answer it measures for SECONDS; prints what baseline.c prints: microseconds of CPU
--- time for a call (or, of streams, for an event), how many there were, and bytes of
--- memory for a task; then how many connections were opened meanwhile.
--- usage: keycycle load.lua BASE_URL KEY CONTENT TASKS SECONDS
local keycycle = require "keycycle"

local base_url, key, content = arg[1], arg[2], arg[3]
local tasks, seconds = math.tointeger(arg[4]), tonumber(arg[5])
local AT_ONCE, PAUSE = 25, 0.1

local wrapper <close> = keycycle.MultiClientWrapper.new {}
-- One with a table of limits and headers that tell them, as providers have.
wrapper:register_provider("openai", { base_url = base_url, keys = { key },
  default_model = "gpt-4o-mini",
  limits = { requests_per_minute = 10000000, tokens_per_day = 1000000000000 } })
local client = wrapper:get_rotating_client("openai", { request_timeout = 60 })
local messages = { { role = "user", content = content } }
local streams = base_url:find("/sse/", 1, true) ~= nil

local calls, events, connections = 0, 0, 0

-- One call: what came of it is counted.
local function call()
  local response = client.chat.completions:create { messages = messages }
  assert(response.choices[1].message.content)
  return response
end

local function stream()
  local response = client.chat.completions:create { messages = messages, stream = true }
  for chunk in response do
    events = events + 1
    assert(chunk.choices[1].delta)
  end
  return response
end

local once = streams and stream or call

local function next_call()
  local headers = keycycle.info(once()).headers
  calls, connections = calls + 1, math.max(connections, tonumber(headers["x-connections"]))
end

local function memory()
  local file <close> = assert(io.open "/proc/self/statm")
  return tonumber(file:read "a":match "%d+ (%d+)") * 4096
end

-- Connections are opened a few at a time, or the last ones would wait too long.
local function go_on_for(pause)
  local stop_at = keycycle.clock.now() + pause
  while keycycle.clock.now() < stop_at do keycycle.step(0.01) end
end

local function measure(go_on, before)
  local opened, cpu = connections, os.clock()
  local stop_at = keycycle.clock.now() + seconds
  calls, events = 0, 0
  while keycycle.clock.now() < stop_at do go_on(1) end
  cpu = os.clock() - cpu
  local n = streams and events or calls
  assert(n > 0, "nothing came in time")
  print(("%.2f %d %d %d"):format(cpu / n * 1e6, n, (memory() - before) // math.max(1, tasks),
    connections - opened))
end

local warm = 0

-- What one task does. What fails ends the whole.
local function work()
  local ok, err = pcall(function()
    next_call()
    warm = warm + 1
    while true do next_call() end
  end)
  if not ok then
    io.stderr:write(tostring(err), "\n")
    os.exit(1)
  end
end

wrapper:preconnect "openai"
next_call()
local before = memory()
for i = 1, tasks do
  keycycle.spawn(work)
  if i % AT_ONCE == 0 then go_on_for(PAUSE) end
end
while warm < tasks do keycycle.step(1) end
measure(tasks > 0 and keycycle.step or next_call, before)
os.exit(true) -- the calls under way are not waited for
