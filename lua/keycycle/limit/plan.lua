--- Which limits hold for each key and model of a pool, by the levels that may say so:
--- the key's own, the program's, the key's tier, the provider's table. The first that
--- says something of a model holds.
---
--- What names and defaults say is given to the pool at once; patterns and functions when
--- a model is first used.
local errors = require "keycycle.errors"
local limit_table = require "keycycle.limit.table"
local limits = require "keycycle.limits"

local limit_plan = {}

local methods = {}
local plan_mt = { __name = "keycycle.limit_plan", __index = methods }

local function got(ok, err)
  if not ok then error(errors.from_core(err), 0) end
end

local function set(pool, key, model, value)
  got(pool:set_limits(key, model, value))
end

-- Levels without holes.
local function list_of(...)
  local list = {}
  for i = 1, select("#", ...) do
    local level = select(i, ...)
    if level then list[#list + 1] = level end
  end
  return list
end

-- The first answer; what a function said counts as a pattern's.
local function ask(levels, model, key)
  for _, level in ipairs(levels) do
    local found, late
    if type(level.by_model) == "function" then
      found = key and level.by_model(model, key)
      if found ~= nil then found = found and limits.check(found, "the limits function's result") end
      late = true
    else
      found, late = limit_table.answer(level, model)
    end
    if found then return found, late end
  end
  return nil
end

local function known_above(levels, i, model)
  for j = 1, i - 1 do
    if limit_table.answer(levels[j], model) then return true end
  end
  return false
end

-- What the levels say by name and by default, as one table, and whom the default is for.
-- Under GLOBAL a default is of all models together that its level is for.
local function fixed(levels, global)
  local out = {}
  for i, level in ipairs(levels) do
    local by_model = type(level.by_model) == "table" and level.by_model or {}
    for model, one in pairs(by_model) do
      local static = model ~= "default" and model:sub(-1) ~= "*" and not level.only
      if static and not out[model] and not known_above(levels, i, model) then out[model] = one end
    end
    if by_model.default and (global or not level.only) then
      out.default = by_model.default
      return out, level.only
    end
  end
  return out, nil
end

local function has_functions(levels)
  for _, level in ipairs(levels) do
    if type(level.by_model) == "function" then return true end
  end
  return false
end

--- Makes a plan of levels (see limit_table), each nil where there is none.
---@param given table own = { [key index] = level }, all (the program's), tier (of all
--- keys), tiers = { [key index] = level, or false: none }, base (the provider's),
--- global (boolean)
function limit_plan.new(given)
  local self = setmetatable({ given = given, keys = {}, global = given.global }, plan_mt)
  self.common = list_of(given.all, given.tier, given.base)
  self.asks = has_functions(self.common) -- each key by itself
  local indexes = {}
  for index in pairs(given.own) do indexes[index] = true end
  for index in pairs(given.tiers) do indexes[index] = true end
  for index in pairs(indexes) do self:add(index, given.own[index], given.tiers[index]) end
  return self
end

--- Takes a key in that has limits or a tier of its own; the pool is told by `apply_key`.
---@param index integer
---@param own? table level
---@param tier? table|false level; nil: the tier of all keys
function methods:add(index, own, tier)
  local given = self.given
  if not own and tier == nil then return end
  local levels = list_of(own, given.all, tier == nil and given.tier or tier, given.base)
  -- Without a tier the other levels are those of all keys.
  self.keys[index] = { levels = levels, fixed = tier == nil and { own } or levels }
end

local function give(pool, index, by_model)
  for model, one in pairs(by_model) do
    set(pool, index, model ~= "default" and model or nil, one)
  end
end

--- Gives the pool what holds from the start for one key, where that is its own.
function methods:apply_key(pool, index)
  local key = self.keys[index]
  if key then give(pool, index, fixed(key.fixed, self.global)) end
end

--- Gives the pool all that holds from the start, instead of what it had.
function methods:apply(pool)
  pool:clear_limits()
  local by_model, only = fixed(self.common, self.global)
  self.only = self.global and only or nil
  got(pool:set_only(self.only))
  give(pool, 0, by_model)
  for index in pairs(self.keys) do self:apply_key(pool, index) end
end

--- Gives the pool what patterns and functions say of a model, when it is first used.
--- Where limits are all models' together, functions are asked for "default".
---@param pool userdata
---@param model string
---@param indexes integer[] the keys that are there
---@param each? boolean key by key, also what is the same for all: of a shared pool those
--- who come must be able to tell which models were evaluated
function methods:evaluate(pool, model, indexes, each)
  local apart = self.only and not limit_table.fits(self.only, model)
  local together = self.global and not apart
  local found, late = ask(self.common, model)
  if found and (late or apart) and not together and not each then set(pool, 0, model, found) end
  if not self.asks and not each and next(self.keys) == nil then return end
  for _, index in ipairs(indexes) do
    local own = self.keys[index]
    local levels = own and own.levels or (self.asks or each) and self.common
    if levels then
      found, late = ask(levels, together and "default" or model, index)
      if found and (late or apart) then set(pool, index, not together and model or nil, found) end
    end
  end
end

--- The plan for a pool in which the same keys have other indexes.
---@param from integer[] indexes here
---@param to integer[] the same keys' there
function methods:moved(from, to)
  local copy = setmetatable({ given = self.given, keys = {}, common = self.common,
    asks = self.asks, global = self.global, only = self.only }, plan_mt)
  for i, index in ipairs(from) do
    if to[i] then copy.keys[to[i]] = self.keys[index] end
  end
  return copy
end

return limit_plan
