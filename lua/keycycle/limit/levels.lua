--- What a registration says of limits: the levels of limit/plan.lua, out of its
--- configuration, the tiers of its keys and the provider's table.
local limit_plan = require "keycycle.limit.plan"
local limit_table = require "keycycle.limit.table"
local tiers = require "keycycle.limit.tiers"

local limit_levels = {}

--- What is said of limits, checked before anything is changed. Raises
--- InvalidConfigurationError.
---@param self table the entry
---@param settings table its configuration
---@param keys table whose `tier` may be named
---@return table read for limit_levels.plan
function limit_levels.read(self, settings, keys)
  local known = limit_table.of(self.name, self.adapter)
  local plans = tiers.new(self.name, known, settings.tier_limits)
  local read = { plans = plans, own = {}, all = limit_table.level(settings.limits, "limits"),
    tier = plans:level(settings.tier) or nil, base = known.base,
    named = plans:read_keys(settings.key_tiers) }
  for _, key in ipairs(keys) do plans:level(key.tier) end
  for id, given in pairs(settings.key_limits or {}) do
    read.own[id] = limit_table.level(given, "key_limits")
  end
  return read
end

--- The plan for the keys that are there, and the tiers by key.
---@param self table the entry
---@param read table
---@param keys table
---@param given integer[] their indexes, in the same order
---@return table plan, table tier_names
function limit_levels.plan(self, read, keys, given)
  local own, levels, names = {}, {}, {}
  for id, level in pairs(read.own) do own[self:find_key(id)] = level end
  for i, key in ipairs(keys) do names[given[i]] = key.tier end
  for id, named in pairs(read.named) do names[self:find_key(id)] = named end
  for index, named in pairs(names) do levels[index] = read.plans:level(named) end
  return limit_plan.new { own = own, tiers = levels, all = read.all, tier = read.tier,
    base = read.base, global = self.scope == "global" }, names
end

return limit_levels
