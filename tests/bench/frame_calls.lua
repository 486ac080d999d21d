--- What tests/bench/frame.lua has the frame program do: CALLS under way, STREAMS of them
--- streaming, each followed by the next one; ten further calls (FRAME_CONNECTIONS) open
--- a connection each, spread over FRAMES. Prints first what a handshake takes, at the end
--- what was served. COLLECTOR is what a host gives to collectgarbage, as in turns.lua.
--- Answers take up to ANSWER_MS (FRAME_ANSWER_MS), a stream has an event each EVENT_MS
--- (FRAME_EVENT_MS), of twenty in all.
--- arguments: BASE_URL CLOSING_URL KEY CONTENT CALLS STREAMS FRAMES COLLECTOR
local keycycle = require "keycycle"

local base_url, closing_url, key, content = ...
local calls, streams, frames, collector = select(5, ...)
calls, streams, frames = math.tointeger(calls), math.tointeger(streams), math.tointeger(frames)
local CONNECTIONS = math.tointeger(os.getenv "FRAME_CONNECTIONS" or 10)
local SAMPLES = 50
local AT_ONCE, PAUSE = 25, 0.1
local ANSWER_MS = math.tointeger(os.getenv "FRAME_ANSWER_MS" or 10000)
local EVENT_MS = math.tointeger(os.getenv "FRAME_EVENT_MS" or 50)

local wrapper = keycycle.MultiClientWrapper.new {}
local messages = { { role = "user", content = content } }
local first, failed = 0, nil
local answers, events = 0, 0

local function register(name, url)
  wrapper:register_provider(name, { base_url = url, keys = { key }, limits = {},
    default_model = "gpt-4o-mini" })
  wrapper:preconnect(name)
  return wrapper:get_rotating_client(name, { request_timeout = 60, timeout = 60 })
end

local function asker(client)
  return function()
    assert(client.chat.completions:create { messages = messages }.choices[1].message.content)
    answers = answers + 1
  end
end

local function reader(client)
  return function()
    for chunk in client.chat.completions:create { messages = messages, stream = true } do
      assert(chunk.choices[1].delta)
      events = events + 1
    end
  end
end

local ask = asker(register("openai", ("%s/wait/%d/v1"):format(base_url, ANSWER_MS)))
local read = reader(register("stream", ("%s/sse/%d/v1"):format(base_url, EVENT_MS)))
local quick = asker(register("quick", base_url .. "/plain/v1"))
local connect = asker(register("closing", closing_url .. "/plain/v1"))

local function cost(fn)
  fn()
  local start = os.clock()
  for _ = 1, SAMPLES do fn() end
  return (os.clock() - start) / SAMPLES
end

print(("handshake_cpu %.1f us"):format((cost(connect) - cost(quick)) * 1e6))

-- One task: `fn` over and over.
local function spawn_loop(fn)
  keycycle.spawn(function()
    local ok, err = pcall(function()
      fn()
      first = first + 1
      while true do fn() end
    end)
    failed = failed or not ok and err
  end)
end

-- Connections are opened a few at a time, or the last ones would wait too long.
local function go_on_for(pause)
  local stop_at = keycycle.clock.now() + pause
  while keycycle.clock.now() < stop_at do keycycle.step(0.01) end
end

for i = 1, calls do
  spawn_loop(i <= streams and read or ask)
  if i % AT_ONCE == 0 then go_on_for(PAUSE) end
end
while first < calls do
  keycycle.step(1)
  if failed then error(failed) end
end

local way, pause, speed = collector:match "^(%a+) ?(%d*) ?(%d*)$"
collectgarbage(way, math.tointeger(pause), math.tointeger(speed))

local every = CONNECTIONS > 0 and frames // CONNECTIONS or math.huge
answers, events = 0, 0
return function(frame)
  if failed then error(failed) end
  if frame % every == 0 then keycycle.spawn(connect) end
  if frame == frames then print(("answers %d 1\nevents %d 1"):format(answers, events)) end
end
