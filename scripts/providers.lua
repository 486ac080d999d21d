--- keycycle providers: what is loaded, from where, and which providers have keys.
--- usage: keycycle providers
local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local report = require "keycycle.report"
local scripts = require "keycycle.scripts"

local function from(kind, name)
  return scripts.source(kind, name) or "built in"
end

local function keys_of(name)
  local keys = keycycle.try(keycycle.load_api_keys, name)
  if not keys then return "-" end
  return keys[1].label == "no key" and "none needed" or tostring(#keys)
end

local function limits_of(name)
  local limits = scripts.get("limits", name)
  if not limits then return "-" end
  local file = from("limits", name)
  return limits.date and ("%s, of %s"):format(file, limits.date) or file
end

local lines = {}
for _, name in ipairs(provider.names()) do
  local definition = provider.get(name)
  lines[#lines + 1] = { name, provider.env_prefix(definition) .. "_API_KEY", keys_of(name),
    definition.base_url, from("provider", name), limits_of(name) }
end
report.table({ "provider", "variable", "keys", "base_url", "from", "limits" }, lines)

lines = {}
for _, name in ipairs(scripts.names "policy") do
  lines[#lines + 1] = { name, from("policy", name) }
end
print()
report.table({ "policy", "from" }, lines)
