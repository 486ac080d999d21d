--- What the rtld_local program runs: a call and a stream.
--- arguments: BASE_URL KEY
local base_url, key = ...

if luaopen_keycycle then package.preload.keycycle = luaopen_keycycle end

local keycycle = require "keycycle"
local wrapper <close> = keycycle.MultiClientWrapper.new {}
wrapper:register_provider("p", { base_url = base_url, keys = { key }, default_model = "m" })
local client = wrapper:get_rotating_client "p"

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = "hi" } } }
end

print(client.chat.completions:create(request()).choices[1].message.content)
print(client.chat.completions:create(request(true)):text())
