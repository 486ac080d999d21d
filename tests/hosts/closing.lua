--- What the closing program closes a state in the middle of: WHAT is "call", "stream",
--- "key" or "name". Returns a function that says whether it is there.
--- arguments: WHAT BASE_URL
local keycycle = require "keycycle"

local what, base_url = ...
local KEY = "sk-test-0123456789abcdefghij"

local wrapper = keycycle.MultiClientWrapper.new {}
wrapper:register_provider("p", { base_url = base_url, keys = { KEY }, default_model = "m",
  allow_insecure = true, limits = { concurrent_requests = what == "key" and 1 or 4 } })
local manager = wrapper:get_manager "p"
local client = wrapper:get_rotating_client("p", { max_retries = 0, timeout = 60 })

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = "hi" } } }
end

local pieces, turns, before = 0, 0, look_ups()

local begin = {
  call = function() client.chat.completions:create(request()) end,
  stream = function()
    for _ in client.chat.completions:create(request(true)) do pieces = pieces + 1 end
  end,
}
begin.key, begin.name = begin.call, begin.call

local held = what == "key" and assert(manager:get_key())

local there = {
  call = function()
    turns = turns + 1
    return turns == 8
  end,
  stream = function() return pieces > 0 end,
  key = function() return held and manager:get_global_stats().queue.length == 3 end,
  name = function() return look_ups() > before end,
}

for _ = 1, 3 do keycycle.spawn(begin[what]) end

return there[what]
