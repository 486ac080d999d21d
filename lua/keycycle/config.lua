--- Keys from the environment and from tables, checked before anything is made.
---
--- Errors name the variable or the place, never a key's text.
local ascii = require "keycycle.ascii"
local dotenv = require "keycycle.config.dotenv"
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local options = require "keycycle.config.options"
local provider = require "keycycle.provider"
local tiers = require "keycycle.limit.tiers"

local invalid = errors.invalid

local config = {}

local MAX_KEYS = 10000
local MAX_WEIGHT = 1000000
local default_env_file

--- The file to read where a program names none (the host's --env).
function config.set_default_env_file(path)
  default_env_file = path
end

local function missing(fmt, ...)
  errors.raise(errors.MissingEnvironmentVariableError, {
    code = "missing_variable", message = fmt:format(...),
  })
end

--- A function that looks a variable up: the real environment, then the file (an
--- empty variable is not looked for there). The file `.env` may be missing, one that was
--- named must be there.
---@param env_file? string
---@return fun(name: string): string?
function config.environment(env_file)
  local named = env_file or default_env_file
  local values, why = dotenv.read(named or ".env")
  if not values and named then
    errors.raise(errors.ConfigurationError, {
      code = "invalid", message = ("the env_file %s cannot be read: %s"):format(named, why),
    })
  end
  return function(name)
    local value = os.getenv(name)
    if value == nil then value = values and values[name] end
    return value ~= "" and value or nil
  end
end

local placeholders = {
  "^sk%-%.%.%.$", "^sk%-ant%-%.%.%.$", "^gsk_%.%.%.$", "^%.+$", "^%*+$", "^[xX]+$",
  "^your[_%-%s].*", "^<.*>$", "^change[_%-]?me$", "^replace[_%-]?me.*$", "^insert[_%-].*key.*$",
  "^sk%-[xX]+$", "^%.%.%.", "%.%.%.$",
}

--- Whether a key is an example's filling rather than a key.
function config.is_placeholder(key)
  local low = ascii.lower(key)
  for _, pattern in ipairs(placeholders) do
    if low:find(pattern) then return true end
  end
  return false
end

-- A key as it will be sent; `where` names its place in errors.
local function check_key(key, where)
  if type(key) ~= "string" then invalid("%s must be a text", where) end
  key = key:match "^%s*(.-)%s*$"
  if key == "" then invalid("%s is empty", where) end
  if key:find "[%c%s]" then invalid("%s has a space or a control character inside", where) end
  if key:find "[\128-\255]" then invalid("%s has characters that no key has", where) end
  if config.is_placeholder(key) then
    invalid("%s is a placeholder: put your own key there", where)
  end
  return key
end

local sources = {}

function sources.env(name, where, lookup)
  local value = (lookup or os.getenv)(name)
  if not value then missing("%s names the variable %s, which is not set", where, name) end
  return value
end

function sources.file(path, where)
  local file, why = io.open(path, "r")
  local text = file and file:read "l"
  if file then file:close() end
  if not text then invalid("%s names a file that cannot be read: %s", where, why or path) end
  return text
end

function sources.cmd(command, where)
  local pipe = io.popen(command, "r")
  local text = pipe and pipe:read "l"
  local ok = pipe and pipe:close()
  if not ok or not text then invalid("%s names a command that failed", where) end
  return text
end

-- "env:NAME", "file:/path" and "cmd:…" stand for what they yield.
local function fetch_key(text, where, lookup)
  local kind, rest = text:match "^(%l+):(.+)$"
  if kind and sources[kind] then text = sources[kind](rest, where, lookup) end
  return check_key(text, where)
end

local own_fields = { api_key = true, label = true, tier = true, group = true, weight = true,
  priority = true, models = true, params = true }

local function check_models(models, where)
  if type(models) ~= "table" or #models == 0 then
    invalid("%s.models must be a list of names", where)
  end
  for _, model in ipairs(models) do
    if type(model) ~= "string" then invalid("%s.models must be a list of names", where) end
  end
end

local function read_entry(item, where, opts)
  local param = opts.api_key_param or "api_key"
  if type(item) == "string" then item = { [param] = item } end
  if type(item) ~= "table" then invalid("%s must be a text or a table", where) end
  local raw = item.api_key or item[param]
  if type(raw) ~= "string" then invalid("%s.%s is missing", where, param) end
  local entry = { api_key = fetch_key(raw, where, opts.lookup), params = {} }
  for k, v in pairs(item) do
    if own_fields[k] then
      if k ~= "api_key" and k ~= "params" then entry[k] = v end
    elseif k ~= param then
      if type(k) ~= "string" or type(v) ~= "string" then
        invalid("%s has no field %q, and extra parameters are texts", where, tostring(k))
      end
      entry.params[k] = v
    end
  end
  for _, name in ipairs { "label", "group", "tier" } do
    if entry[name] ~= nil and type(entry[name]) ~= "string" then
      invalid("%s.%s must be a text", where, name)
    end
  end
  if entry.group and (not utf8.len(entry.group) or entry.group:find "\0") then
    invalid("%s.group must be UTF-8, without a zero byte", where)
  end
  entry.tier = entry.tier and { name = entry.tier, from = where .. ".tier" }
  if entry.priority ~= nil and not math.tointeger(entry.priority) then
    invalid("%s.priority must be a whole number", where)
  end
  local weight = entry.weight
  if weight and not (math.tointeger(weight) and weight >= 1 and weight <= MAX_WEIGHT) then
    invalid("%s.weight must be a whole number from 1 to %d", where, MAX_WEIGHT)
  end
  if entry.models ~= nil then check_models(entry.models, where) end
  return entry
end

--- Checks a list of keys: texts or tables. Duplicates are kept once.
---@param keys table
---@param opts? table api_key_param, name (in messages), lookup (of variables)
---@return table entries `{ api_key, label, group, tier, priority, params }`; tier is
--- `{ name, from }`
function config.read_keys(keys, opts)
  opts = opts or {}
  local name = opts.name or "keys"
  if type(keys) ~= "table" or #keys == 0 then invalid("%s must be a list of keys", name) end
  local entries, seen = {}, {}
  for i, item in ipairs(keys) do
    local entry = read_entry(item, ("%s[%d]"):format(name, i), opts)
    if seen[entry.api_key] then
      log.warn("%s[%d] is the same key as %s[%d]: kept once", name, i, name, seen[entry.api_key])
    else
      seen[entry.api_key] = i
      entries[#entries + 1] = entry
    end
  end
  return entries
end

-- How many keys the environment says, or holds.
local function count_keys(prefix, lookup)
  local variable = "NUM_" .. prefix
  local text = lookup(variable)
  if text then
    local n = text:match "^%s*(%d+)%s*$"
    n = n and math.tointeger(tonumber(n))
    if not n or n < 1 then invalid("%s must be a whole number, 1 or more", variable) end
    if n > MAX_KEYS then invalid("%s is over %d", variable, MAX_KEYS) end
    return n
  end
  local n = 0
  while n < MAX_KEYS and lookup(("%s_API_KEY_%d"):format(prefix, n + 1)) do n = n + 1 end
  return n
end

-- The provider's own parameters, where they are set: of this key, or of all.
local function set_params(entry, prefix, i, params, lookup)
  for _, param in ipairs(params) do
    local name = ("%s_%s"):format(prefix, ascii.upper(param))
    entry.params[param] = i and lookup(("%s_%d"):format(name, i)) or lookup(name)
  end
end

local function numbered(prefix, i, opts, lookup)
  local variable = ("%s_API_KEY_%d"):format(prefix, i)
  local key = lookup(variable)
  if not key or key:match "^%s*$" then
    missing("%s is not set (NUM_%s counts %s_API_KEY_1 and so on)", variable, prefix, prefix)
  end
  local entry = { api_key = fetch_key(key, variable, lookup), params = {},
    tier = tiers.named(prefix, i, lookup) }
  set_params(entry, prefix, i, opts.known_params, lookup)
  for _, param in ipairs(opts.extra_params or {}) do
    local name = ("%s_%s_%d"):format(prefix, ascii.upper(param), i)
    entry.params[param] = lookup(name) or missing("%s is not set", name)
  end
  return entry, variable
end

--- The tier that the environment names for all keys of a provider; nil: none.
---@param name string provider
---@param lookup fun(name: string): string?
---@return table? `{ name, from }`
function config.load_tier(name, lookup)
  return tiers.named(provider.env_prefix(provider.get(name) or { name = name }), nil, lookup)
end

-- What a server that asks for no key is sent instead of one.
local NO_KEY = "no-key"

local function lone_key(name, definition, prefix, lookup)
  local variable = prefix .. "_API_KEY"
  local entry, text = { params = {}, tier = tiers.named(prefix, 1, lookup) }, lookup(variable)
  if text then
    entry.api_key = fetch_key(text, variable, lookup)
  elseif definition.auth and definition.auth.optional then
    entry.api_key, entry.label = NO_KEY, "no key"
  else
    errors.raise(errors.MissingEnvironmentVariableError, { code = "no_keys", provider = name,
      message = ("no keys for %s: set NUM_%s and %s_1 (or %s)"):format(name, prefix, variable,
        variable) })
  end
  set_params(entry, prefix, nil, provider.params(definition), lookup)
  return entry
end

--- The keys of a provider in the environment: <PREFIX>_API_KEY_<n>. A provider's own
--- parameters are read from `<PREFIX>_<PARAM>_<n>`, or for all keys from
--- `<PREFIX>_<PARAM>`.
---@param name string provider
---@param opts? table env_file, extra_params
---@return table entries `{ api_key, params, tier }`, see tiers.named
function config.load_api_keys(name, opts)
  opts = opts or {}
  local lookup = opts.lookup or config.environment(opts.env_file)
  local definition = provider.get(name) or { name = name }
  local prefix = provider.env_prefix(definition)
  local n = count_keys(prefix, lookup)
  if n == 0 then return { lone_key(name, definition, prefix, lookup) } end
  opts = { extra_params = opts.extra_params, known_params = provider.params(definition) }
  local entries, seen = {}, {}
  for i = 1, n do
    local entry, variable = numbered(prefix, i, opts, lookup)
    if seen[entry.api_key] then
      log.warn("%s is the same key as %s: kept once", variable, seen[entry.api_key])
    else
      seen[entry.api_key] = variable
      entries[#entries + 1] = entry
    end
  end
  return entries
end

--- The fields of a provider's configuration and their types.
config.provider_fields = {
  keys = "table", strategy = "string", selection = "any", default_model = "string",
  limits = "any", key_limits = "table", key_tiers = "table", tier_limits = "table",
  cooldown_seconds = "number", max_wait_queue = "number", api_key_param = "string",
  extra_params = "table", excluded_params = "table", base_url = "string", headers = "table",
  policy = "any", allow_insecure = "boolean",
}
local selections = { "balanced", "round_robin", "random_two", "fill_first", "weighted",
  "most_remaining", "best_fit" }

-- The engine's name for it; a function chooses before `balanced` does.
local function check_selection(name, value)
  if value == nil or type(value) == "function" then return "balanced" end
  for _, known in ipairs(selections) do
    if value == known then return value end
  end
  invalid("provider %s: unknown selection %q (%s, or a function)", name, tostring(value),
    table.concat(selections, ", "))
end

--- Checks a ProviderEnvConfig (or register_provider's table) and returns a copy
--- with `selection` as the engine knows it, and `choose` where it is a function.
function config.check_provider(name, given)
  if type(given) ~= "table" then invalid("the configuration of %s must be a table", name) end
  local out = {}
  for k, v in pairs(given) do
    local want = config.provider_fields[k]
    if not want then
      invalid("provider %s has no option %q (known: %s)", name, tostring(k),
        errors.list(config.provider_fields))
    end
    if want ~= "any" and type(v) ~= want then
      invalid("provider %s: %s must be a %s", name, k, want)
    end
    out[k] = v
  end
  if out.strategy and out.strategy ~= "per_model" and out.strategy ~= "global" then
    invalid("provider %s: strategy is per_model or global", name)
  end
  if out.cooldown_seconds and out.cooldown_seconds < 0 then
    invalid("provider %s: cooldown_seconds must not be negative", name)
  end
  if out.headers then options.check_headers(out.headers, ("provider %s: headers"):format(name)) end
  local queue = out.max_wait_queue
  if queue and not (math.tointeger(queue) and queue >= 0) then
    invalid("provider %s: max_wait_queue must be a whole number", name)
  end
  out.choose = type(out.selection) == "function" and out.selection or nil
  out.selection = check_selection(name, out.selection)
  return out
end

local function is_loopback(host)
  return host == "localhost" or host == "[::1]" or host:find "^127%.%d+%.%d+%.%d+$" ~= nil
end

--- Checks a base_url and returns it without a slash at its end.
function config.check_base_url(name, url, allow_insecure)
  local scheme, host = url:match "^(%a+)://([^/?#]+)"
  scheme = scheme and ascii.lower(scheme)
  if scheme ~= "http" and scheme ~= "https" then
    invalid("provider %s: base_url must begin with https:// (or http://)", name)
  end
  if host:find "@" then invalid("provider %s: base_url must not hold a password", name) end
  local bare = host:gsub(":%d+$", "")
  if scheme == "http" and not allow_insecure and not is_loopback(ascii.lower(bare)) then
    invalid("provider %s: base_url is plain http: a key would travel in the open "
      .. "(allow_insecure = true permits it)", name)
  end
  return (url:gsub("/+$", ""))
end

return config
