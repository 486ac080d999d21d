--- A host with a frame of its own, which calls step(0, 0.001) once in each: CALLS are
--- under way, their answers trickle in, and as many tasks wait for a key, of which each
--- answer gives one. Ten further calls open a connection each. Prints, in microseconds
--- of CPU time, a turn's median, its 99th percentile and its worst, then a handshake's
--- own; then how many turns and answers there were.
---
--- It is the CPU time of the process, which has no other thread here. COLLECTOR is what
--- a host gives to collectgarbage, as "generational" or "incremental 200 1". Lua collects
--- once in ten seconds or so: SECONDS should hold several collections.
--- usage: keycycle turns.lua BASE_URL CLOSING_URL KEY CONTENT CALLS SECONDS FRAME COLLECTOR
local keycycle = require "keycycle"

local base_url, closing_url, key, content = arg[1], arg[2], arg[3], arg[4]
local calls, seconds, frame = math.tointeger(arg[5]), tonumber(arg[6]), tonumber(arg[7])
local CONNECTIONS, SAMPLES, BUDGET = 10, 50, 0.001
local AT_ONCE, PAUSE = 25, 0.1

local wrapper <close> = keycycle.MultiClientWrapper.new {}
local messages = { { role = "user", content = content } }
local answers, failed = 0, 0

local function provider(name, url, limits)
  wrapper:register_provider(name, { base_url = url, keys = { key }, limits = limits,
    default_model = "gpt-4o-mini" })
  wrapper:preconnect(name)
  local client = wrapper:get_rotating_client(name, { request_timeout = 60, timeout = 60 })
  return function()
    local response = client.chat.completions:create { messages = messages }
    assert(response.choices[1].message.content)
    answers = answers + 1
  end
end

local call = provider("openai", base_url .. "/wait/20000/v1", { concurrent_requests = calls })
local quick = provider("quick", base_url .. "/plain/v1", {})
local connect = provider("closing", closing_url .. "/plain/v1", {})

local function cost(fn)
  fn()
  local start = os.clock()
  for _ = 1, SAMPLES do fn() end
  return (os.clock() - start) / SAMPLES
end

local handshake = cost(connect) - cost(quick)

local function loop()
  while true do call() end
end

-- Spends the rest of a frame, and gives up the last of it to nobody.
local function draw(until_when)
  while keycycle.clock.now() < until_when do end
end

-- Connections are opened a few at a time, or the last ones would wait too long.
local function go_on_for(pause)
  local stop_at = keycycle.clock.now() + pause
  while keycycle.clock.now() < stop_at do keycycle.step(0.01) end
end

-- Whatever opens the first connections is over when each call has had an answer.
local tasks = {}
for i = 1, 2 * calls do
  tasks[i] = keycycle.spawn(loop)
  if i % AT_ONCE == 0 then go_on_for(PAUSE) end
end
answers = 0
while answers < calls do keycycle.step(1) end

local turns, next_frame = {}, keycycle.clock.now()
local count, every = seconds // frame, seconds // frame // CONNECTIONS
answers = 0
local way, pause, speed = arg[8]:match "^(%a+) ?(%d*) ?(%d*)$"
collectgarbage(way, math.tointeger(pause), math.tointeger(speed))
for i = 1, count do
  if i % every == 0 then keycycle.spawn(connect) end
  local start = os.clock()
  keycycle.step(0, BUDGET)
  turns[i] = os.clock() - start
  next_frame = next_frame + frame
  draw(next_frame)
end
for _, t in ipairs(tasks) do
  if t:status() == "failed" then failed = failed + 1 end
end
assert(failed == 0, "calls failed")

table.sort(turns)
local function at(part) return turns[math.max(1, math.ceil(#turns * part))] * 1e6 end
print(("%.0f %.0f %.0f %.0f %d %d"):format(at(0.5), at(0.99), at(1), handshake * 1e6, #turns,
  answers))
os.exit(true) -- the calls under way are not waited for
