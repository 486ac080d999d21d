--- The whole client, N sequential calls: prints the CPU time of one call in
--- microseconds. usage: keycycle calls.lua BASE_URL KEY COUNT CONTENT
local keycycle = require "keycycle"

local base_url, key, count, content = arg[1], arg[2], tonumber(arg[3]), arg[4]

local wrapper <close> = keycycle.MultiClientWrapper.new {}
wrapper:register_provider("bench", {
  base_url = base_url,
  keys = { key },
  default_model = "gpt-4o-mini",
  limits = { requests_per_minute = 1000000, tokens_per_day = 1000000000 },
})
local client = wrapper:get_rotating_client "bench"
local request = { messages = { { role = "user", content = content } } }

client.chat.completions:create(request) -- opens the connection: not measured
local start = os.clock()
for _ = 1, count do
  local response = client.chat.completions:create(request)
  assert(response.choices[1].message.content)
end
print(string.format("%.1f", (os.clock() - start) / count * 1e6))
