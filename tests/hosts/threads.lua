--- What each state of the threads program does: three calls and a stream at once. `count`
--- adds to the program's sums: calls that began, that ended, and of states that are not
--- closed before (`to_the_end`) those that ended.
--- arguments: BASE_URL KEY
local keycycle = require "keycycle"

local base_url, key = ...

local wrapper = keycycle.MultiClientWrapper.new { shared = "crew" }
wrapper:register_provider("p", { base_url = base_url, keys = { key }, default_model = "m",
  limits = { concurrent_requests = 4 } })
local client = wrapper:get_rotating_client("p", { max_retries = 0, timeout = 60 })

local function call(stream)
  count "begun"
  local said = client.chat.completions:create { stream = stream,
    messages = { { role = "user", content = "one two three four" } } }
  local text
  if stream then text = said:text() else text = said.choices[1].message.content end
  assert(text == "You said: one two three four", text)
  count "ended"
  if to_the_end then count "whole" end
end

for i = 1, 4 do keycycle.spawn(call, i == 4) end
