--- keycycle providers: what is loaded, from where, and which providers have keys.
local keycycle = require "keycycle"
local command = require "keycycle.command"
local limit_table = require "keycycle.limit.table"
local provider = require "keycycle.provider"
local report = require "keycycle.report"
local scripts = require "keycycle.loader.scripts"

local usage = [[
usage: keycycle providers
Own ones are read from providers/, policies/ and limits/ in the folders of
$KEYCYCLE_PATH, in $XDG_CONFIG_HOME/keycycle (~/.config/keycycle), and with the
option --here in ./.keycycle.]]

local options, code = command.read(arg, usage, nil, 0)
if not options then return code end

local function from(kind, name)
  return scripts.source(kind, name) or "built in"
end

local wrong = {} -- what is wrong with the keys of some

local function keys_of(name)
  local keys, err = keycycle.try(keycycle.load_api_keys, name)
  if not keys and err.code == "no_keys" then return "-" end
  if not keys then
    wrong[#wrong + 1] = ("%s: %s"):format(name, err.message or tostring(err))
    return "wrong"
  end
  return keys[1].label == "no key" and "none needed" or tostring(#keys)
end

local function limits_of(name, definition)
  local limits = limit_table.of(name, definition)
  if not limits.base and next(limits.tiers) == nil then return "-" end
  local file = scripts.source("limits", name)
    or definition.limits and scripts.source("provider", name) or "built in"
  return limits.date and ("%s, of %s"):format(file, limits.date) or file
end

local lines = {}
for _, name in ipairs(provider.names()) do
  local definition = provider.get(name)
  lines[#lines + 1] = { name, provider.env_prefix(definition) .. "_API_KEY", keys_of(name),
    definition.base_url, from("provider", name), limits_of(name, definition) }
end
report.table({ "provider", "variable", "keys", "base_url", "from", "limits" }, lines)
for _, text in ipairs(wrong) do print(text) end

lines = {}
for _, name in ipairs(scripts.names "policy") do
  lines[#lines + 1] = { name, from("policy", name) }
end
print()
report.table({ "policy", "from" }, lines)
