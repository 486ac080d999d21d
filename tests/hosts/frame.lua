--- What a spec has the frame program do: CALLS calls and STREAMS streams at once, each
--- of words of its own. Prints how many answers were all that was asked for.
--- arguments: BASE_URL KEY CALLS STREAMS
local keycycle = require "keycycle"

local base_url, key, calls, streams = ...
calls, streams = math.tointeger(calls), math.tointeger(streams)

local wrapper = keycycle.MultiClientWrapper.new {}
wrapper:register_provider("p", { base_url = base_url, keys = { key }, default_model = "m" })
local client = wrapper:get_rotating_client "p"

local function ask(request)
  return client.chat.completions:create(request).choices[1].message.content
end

local function read(request)
  local parts = {}
  request.stream = true
  for chunk in client.chat.completions:create(request) do
    parts[#parts + 1] = chunk.choices[1] and chunk.choices[1].delta.content
  end
  return table.concat(parts)
end

local all, right = calls + streams, 0
for i = 1, all do
  keycycle.spawn(function()
    local words = ("one two three four of number %d"):format(i)
    local said = (i <= calls and ask or read) { messages = { { role = "user", content = words } } }
    assert(said == "You said: " .. words, said)
    right = right + 1
    if right == all then print(("answers %d 1"):format(right)) end
  end)
end

local last = 0
return function(frame)
  assert(frame == last + 1)
  last = frame
end
