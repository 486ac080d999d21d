--- Tables of limits: what limits/<provider>.lua and a provider's own `limits` say,
--- and which of their names is meant by a model's.
---
--- A level is one such table on its own, `{ by_model, only }`: by_model as limits.read
--- returns it, `only` a pattern that says which models it is for (nil: all).
local ascii = require "keycycle.ascii"
local builtin = require "keycycle.loader.builtin"
local errors = require "keycycle.errors"
local hook = require "keycycle.loader.hook"
local limits = require "keycycle.limits"
local scripts = require "keycycle.loader.scripts"

local invalid = errors.invalid

local limit_table = {}

local own_fields = { tiers = "table", tier = "string", only = "string", source = "string",
  date = "string" }

--- Whether a model's name fits a pattern: `*` at its end or at its beginning stands for
--- any text.
---@param pattern string
---@param model string
function limit_table.fits(pattern, model)
  if pattern:sub(-1) == "*" then
    return model:sub(1, #pattern - 1) == pattern:sub(1, -2)
  elseif pattern:sub(1, 1) == "*" then
    return #model >= #pattern - 1 and model:sub(-(#pattern - 1)) == pattern:sub(2)
  end
  return model == pattern
end

-- A pattern of one star at its end; for `only` at its beginning, too.
local function check_name(name, where, both_ends)
  local at = name:find("*", 1, true)
  if not at or at == #name then return end
  if both_ends and at == 1 and not name:find("*", 2, true) then return end
  invalid("%s: %q may have a * at its end%s only", where, name, both_ends and " or beginning" or "")
end

--- Checks what a program, a provider or a limits file says about models and makes a
--- level of it; nil where it says nothing. Raises InvalidConfigurationError.
---@param given table|function|nil
---@param where string names the place in errors
---@param only? string
function limit_table.level(given, where, only)
  local by_model = limits.read(given, where)
  if by_model == nil then return nil end
  if type(by_model) == "table" then
    for name in pairs(by_model) do check_name(name, where) end
  end
  return { by_model = by_model, only = only }
end

local function fault(value)
  if value == nil then return nil end
  local ok, err = pcall(limits.check, value, "its result")
  if ok then return nil end
  if not errors.is_error(err) then error(err, 0) end
  return err.message
end

-- What a script's function does wrong leaves the answer to the levels below.
local function guarded(given, where)
  if type(given) ~= "function" then return given end
  return function(model, key)
    local _, value = hook.call({ what = where, check = fault }, given, model, key)
    return value
  end
end

--- Checks a table in the form of limits/<provider>.lua: limits by model (and
--- `default`), `tiers` by name, `tier` (the name of the plan that the table itself is
--- of), `only` (a pattern: other models are none of its business), `source`, `date`. Or
--- a function (model, key index) -> RateLimits, or nil for what is below.
---@param given table|function
---@param where string names the file or field in errors
---@return table `{ base = level or nil, tiers = { [name] = level }, tier, source, date }`
function limit_table.read(given, where)
  if type(given) == "function" then
    return { base = limit_table.level(guarded(given, where), where), tiers = {} }
  elseif type(given) ~= "table" then
    invalid("%s must be a table or a function, not a %s", where, type(given))
  end
  local out, by_model = { tiers = {} }, {}
  for name, value in pairs(given) do
    local want = own_fields[name]
    if not want then
      by_model[name] = value
    elseif type(value) ~= want then
      invalid("%s.%s must be a %s", where, name, want)
    else
      out[name] = value
    end
  end
  if out.only then check_name(out.only, where .. ".only", true) end
  if next(by_model) ~= nil then out.base = limit_table.level(by_model, where, out.only) end
  local tiers = {}
  for name, value in pairs(out.tiers) do
    if type(name) ~= "string" then invalid("%s.tiers has no field %s", where, tostring(name)) end
    local at = where .. ".tiers." .. name
    tiers[name] = limit_table.level(guarded(value, at), at, out.only)
  end
  out.tiers = tiers
  return out
end

-- The built-in file; of a provider that has another's variables, and so its keys, that of
-- the other.
local function built_in(name, adapter)
  local file = builtin.get("limits", name)
  local other = not file and adapter and adapter.env and ascii.lower(adapter.env)
  if other then name, file = other, builtin.get("limits", other) end
  return file and limit_table.read(file, ("limits/%s.lua"):format(name))
end

--- The limits of a provider where a program gives none: those of the user's file, else
--- the definition's own, else the built-in ones.
---@param name string
---@param adapter? table the provider's definition
---@return table as limit_table.read; empty where nobody knows any
function limit_table.of(name, adapter)
  local file = scripts.own("limits", name)
  if file then return file end
  local own = adapter and adapter.limits
  if own then return limit_table.read(own, ("provider %s: limits"):format(name)) end
  return built_in(name, adapter) or { tiers = {} }
end

-- The longest pattern that fits.
local function by_pattern(by_model, model)
  local best, found
  for name, one in pairs(by_model) do
    if name:sub(-1) == "*" and (not best or #name > #best) and limit_table.fits(name, model) then
      best, found = name, one
    end
  end
  return found
end

--- What a level says of a model: by its name, else by the longest `name*` that fits,
--- else its `default`; nil where it says nothing, as where it is a function.
---@return table? limits, boolean? by_pattern whether neither name nor default said it
function limit_table.answer(level, model)
  local by_model = level.by_model
  if type(by_model) ~= "table" then return nil end
  if level.only and not limit_table.fits(level.only, model) then return nil end
  if model ~= "default" and by_model[model] then return by_model[model], level.only ~= nil end
  local found = by_pattern(by_model, model)
  if found then return found, true end
  return by_model.default, level.only ~= nil
end

return limit_table
