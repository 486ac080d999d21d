--- keycycle providers: the built-in providers and where their calls go.
local keycycle = require "keycycle"
local provider = require "keycycle.provider"

for _, name in ipairs(provider.names()) do
  local definition = provider.get(name)
  local ok = pcall(keycycle.load_api_keys, name)
  print(("%-10s %-34s %s_API_KEY_1 …  %s"):format(name, definition.base_url,
    provider.env_prefix(definition), ok and "keys found" or "no keys"))
end
