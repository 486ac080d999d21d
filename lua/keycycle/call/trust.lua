--- Where a key may go: to its provider's own hosts, and to those that the program
--- itself gives. A script may define new providers, but not point a known one away.
local address = require "keycycle.call.address"
local ascii = require "keycycle.ascii"
local builtin = require "keycycle.loader.builtin"
local provider = require "keycycle.provider"
local template = require "keycycle.call.template"

local trust = {}

-- A key is one provider's by the name that it is registered under, and by the
-- variables that it comes from.
local function identities(definition)
  local by_name = provider.env_prefix { name = definition.name }
  local by_env = provider.env_prefix(definition)
  return by_name == by_env and { by_name } or { by_name, by_env }
end

-- identity -> the origins of the built-in providers that have it
local function built_in_origins()
  local known = {}
  for _, name in ipairs(builtin.names "provider") do
    local definition = builtin.get("provider", name)
    for _, identity in ipairs(identities(definition)) do
      known[identity] = known[identity] or {}
      local at = definition.base_url and address.origin(definition.base_url)
      if at then known[identity][at] = definition end
    end
  end
  return known
end

-- A default for a name that stands in the host would be another host.
local function fills_host(definition)
  local _, defaults = provider.params(definition)
  local host = definition.base_url:match "^%a[%w+.-]*://([^/?#]*)" or ""
  for _, name in ipairs(template.names(host)) do
    if defaults[name] then return name end
  end
  return nil
end

-- A parameter whose variable would be another provider's key.
local function reads_key(definition)
  for _, identity in ipairs(identities(definition)) do
    for _, name in ipairs(provider.params(definition)) do
      if (identity .. "_" .. ascii.upper(name)):find("API_KEY", 1, true) then return name end
    end
  end
  return nil
end

-- Why the keys of a known provider may not be used so.
local function refuses_known(definition, identity, origins)
  local url = definition.base_url
  if not origins[address.origin(url)] then
    return ("base_url %q: the keys of %s go to its own host only; a program may give another to "
      .. "register_provider, a script may not"):format(url, identity)
  end
  if fills_host(definition) then
    return ("params.%s may have no default: it stands in the host"):format(fills_host(definition))
  end
  if (definition.auth or {}).query then
    return ("auth.query: the keys of %s go into a header, for logs hold URLs"):format(identity)
  end
  return nil
end

-- Whether a registered provider has the keys that the definition would use, elsewhere.
local function holds(one, definition, ids)
  if address.origin(one.base_url) == address.origin(definition.base_url) then return false end
  if one.name == definition.name then return not one.given end
  for _, identity in ipairs(ids) do
    if identity == one.prefix then return true end
  end
  return false
end

local known

--- Why a script's definition may not be used; nil: it may. `held` are the providers that
--- have keys already, as entry.hosts lists them.
---@param definition table
---@param held table list
---@return string? why
function trust.refuses(definition, held)
  local reads = reads_key(definition)
  if reads then return ("params.%s would read another provider's key"):format(reads) end
  if not definition.base_url then return nil end
  known = known or built_in_origins()
  local ids, is_known = identities(definition), false
  for _, identity in ipairs(ids) do
    local origins = known[identity]
    local why = origins and refuses_known(definition, identity, origins)
    if why then return why end
    is_known = is_known or origins ~= nil
  end
  for _, one in ipairs(is_known and {} or held) do
    if holds(one, definition, ids) then
      return ("base_url %q: %s has keys already, for another host"):format(definition.base_url,
        one.name)
    end
  end
  return nil
end

return trust
