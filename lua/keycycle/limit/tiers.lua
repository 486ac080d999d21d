--- Tiers: the plan that a key is on, by name, and the limits that come with it.
---
--- A program names one in a key's entry, in `key_tiers`, or in the environment:
--- <PREFIX>_TIER for every key of a provider, <PREFIX>_TIER_<n> for the n-th.
local ascii = require "keycycle.ascii"
local errors = require "keycycle.errors"
local limit_table = require "keycycle.limit.table"

local tiers = {}

local methods = {}
local tiers_mt = { __name = "keycycle.tiers", __index = methods }

--- What the environment says, or nil: `{ name, from }`, `from` the variable.
---@param prefix string of the provider's variables
---@param number? integer of the key; nil: of all keys
---@param lookup fun(name: string): string?
function tiers.named(prefix, number, lookup)
  local variable = prefix .. "_TIER" .. (number and "_" .. number or "")
  local text = lookup(variable)
  local name = text and ascii.lower(text:match "^%s*(.-)%s*$")
  return name and name ~= "" and { name = name, from = variable } or nil
end

--- Reads the tiers of a provider: those of its limits, and a program's own, which
--- replace those of the same name. Raises InvalidConfigurationError.
---@param provider string its name
---@param known table what limit_table.of returned
---@param own? table `tier_limits`
function tiers.new(provider, known, own)
  local self = setmetatable({ provider = provider, levels = {} }, tiers_mt)
  -- The plan of the table itself has no figures beside it.
  if known.tier then self.levels[known.tier] = false end
  for name, level in pairs(known.tiers) do self.levels[name] = level end
  for name, given in pairs(own or {}) do
    if type(name) ~= "string" then
      errors.invalid("provider %s: tier_limits has no field %s", provider, tostring(name))
    end
    self.levels[name] = limit_table.level(given, "tier_limits." .. name) or false
  end
  return self
end

--- The level of a tier; false for the plan that the provider's table is of; nil where
--- none is named. Raises InvalidConfigurationError for one that is not known.
---@param named? table `{ name, from }`, as tiers.named returns it
function methods:level(named)
  if not named then return nil end
  local level = self.levels[named.name]
  if level == nil then
    errors.invalid("provider %s: %s names the tier %q, which is not known (known: %s)",
      self.provider, named.from, named.name, errors.list(self.levels))
  end
  return level
end

--- Checks `key_tiers`: `{ [key id] = { name, from } }`. Ids are not repeated in errors:
--- one may be a whole key.
function methods:read_keys(key_tiers)
  local out = {}
  for id, name in pairs(key_tiers or {}) do
    if type(name) ~= "string" then
      errors.invalid("provider %s: key_tiers gives a tier's name by key, not a %s", self.provider,
        type(name))
    end
    out[id] = { name = name, from = "key_tiers" }
    self:level(out[id])
  end
  return out
end

return tiers
