--- Providers: what a file in providers/ defines, checked and with `extends`
--- resolved; and the built-in ones by name.
local errors = require "keycycle.errors"

local invalid = errors.invalid

local provider = {}

local provider_mt = { __name = "keycycle.provider" }

local fields = {
  name = "string", extends = "string", base_url = "string", strategy = "string",
  env = "string", auth = "table", params = "table", headers = "table", protocols = "table",
  routes = "table", limits = "table", limit_headers = "table", classify = "table",
  usage = "function", estimate = "function", charge = "table",
}

local function check(definition)
  if type(definition) ~= "table" then
    invalid("a provider is a table, not a %s", type(definition))
  end
  for k, v in pairs(definition) do
    if not fields[k] then invalid("a provider has no field %q", tostring(k)) end
    if type(v) ~= fields[k] then invalid("provider.%s must be a %s", k, fields[k]) end
  end
  if not definition.name then invalid "provider.name is missing" end
  local auth = definition.auth
  if auth and not (type(auth.value) == "string" and (auth.header or auth.query)) then
    invalid("provider %s: auth needs header or query, and value", definition.name)
  end
end

--- Defines a provider (API: `keycycle.provider { … }`). Unknown fields raise.
---@param definition table taken, not copied
---@return table
function provider.define(definition)
  check(definition)
  if definition.extends then
    local base = provider.get(definition.extends)
    if not base then
      invalid("provider %s extends %q, which is not known", definition.name, definition.extends)
    end
    for k, v in pairs(base) do
      if definition[k] == nil and k ~= "name" and k ~= "env" then definition[k] = v end
    end
  end
  return setmetatable(definition, provider_mt)
end

local built_in = { "groq", "openai", "openai_compatible" }

--- Names of the built-in providers that have a host of their own.
function provider.names()
  return { "groq", "openai" }
end

--- The built-in definition, or nil.
function provider.get(name)
  for _, known in ipairs(built_in) do
    if known == name then return require("keycycle.providers." .. name) end
  end
  return nil
end

--- The definition for a registration: built in, or any OpenAI-compatible server
--- where the program gives a base_url.
---@param name string
---@param base_url? string
function provider.resolve(name, base_url)
  local found = provider.get(name)
  if found and found.base_url then return found end
  if base_url then
    return provider.define { name = name, extends = "openai_compatible" }
  end
  errors.raise(errors.InvalidConfigurationError, {
    code = "unknown_provider", provider = name,
    message = ("unknown provider %q; known: %s; any other OpenAI-compatible server needs base_url")
      :format(name, table.concat(provider.names(), ", ")),
  })
end

--- The prefix of its environment variables: `env`, or the name in capitals.
function provider.env_prefix(definition)
  return definition.env or (definition.name:upper():gsub("[^%w]", "_"))
end

return provider
