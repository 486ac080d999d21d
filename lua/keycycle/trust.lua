--- Where a key may go: to its provider's own hosts, and to those that the program
--- itself gives. A script may define new providers, but not point a known one away.
local builtin = require "keycycle.builtin"
local provider = require "keycycle.provider"
local template = require "keycycle.template"

local trust = {}

-- "https://api.openai.com:443" of a base_url, its templates as they stand.
local function origin(url)
  local scheme, host = (url or ""):match "^(%a[%w+.-]*)://([^/?#]*)"
  if not scheme then return nil end
  scheme, host = scheme:lower(), host:lower()
  if not host:find ":%d+$" then host = host .. (scheme == "https" and ":443" or ":80") end
  return scheme .. "://" .. host
end

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
      local at = origin(definition.base_url)
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

local known

--- Why a script's definition may not be used; nil: it may. `held` are the origins of
--- providers that have keys already, by name.
---@param definition table
---@param held table name -> base_url
---@return string? why
function trust.refuses(definition, held)
  local url = definition.base_url
  if not url then return nil end
  local at = origin(url)
  if not at then return ("base_url %q is no address"):format(url) end
  known = known or built_in_origins()
  for _, identity in ipairs(identities(definition)) do
    local origins = known[identity]
    if origins and not origins[at] then
      return ("base_url %q: the keys of %s go to its own host only; a program may give another to "
        .. "register_provider, a script may not"):format(url, identity)
    end
    if origins and fills_host(definition) then
      return ("params.%s may have no default: it stands in the host"):format(fills_host(definition))
    end
  end
  local before = held[definition.name]
  if before and origin(before) ~= at then
    return ("base_url %q: %s has keys already, for another host"):format(url, definition.name)
  end
  return nil
end

return trust
