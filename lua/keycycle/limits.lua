--- Limits: what a program may say, and what then holds for a key and a model.
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local invalid = errors.invalid

local limits = {}

local limits_mt = { __name = "keycycle.limits" }

local known = {
  requests_per_minute = true, requests_per_hour = true, requests_per_day = true,
  tokens_per_minute = true, tokens_per_hour = true, tokens_per_day = true,
  input_tokens_per_minute = true, output_tokens_per_minute = true, concurrent_requests = true,
}
local DAY = "day_resets_at" -- the zone at whose midnight the day begins

local function check_count(name, value, where)
  if not known[name] then invalid("%s has no field %q", where, tostring(name)) end
  local n = math.type(value) and math.tointeger(value)
  if not n or n < 0 then invalid("%s.%s must be a whole number, not negative", where, name) end
end

local function check_zone(name, where)
  if type(name) ~= "string" or not core.zone_known(name) then
    invalid("%s.%s must be a time zone such as \"UTC\" or \"America/Los_Angeles\"", where, DAY)
  end
end

--- Checks one RateLimits: nil is unlimited, 0 is blocked; `day_resets_at` names the
--- zone at whose midnight the day begins anew (nil: any 24 hours).
---@param given table
---@param where? string for messages
function limits.check(given, where)
  where = where or "limits"
  if type(given) ~= "table" then invalid("%s must be a table, not a %s", where, type(given)) end
  local out = {}
  for k, v in pairs(given) do
    if k == DAY then
      check_zone(v, where)
    else
      check_count(k, v, where)
    end
    out[k] = k == DAY and v or math.tointeger(v)
  end
  return setmetatable(out, limits_mt)
end

local function is_one(given)
  if getmetatable(given) == limits_mt then return true end
  for k in pairs(given) do
    if known[k] or k == DAY then return true end
  end
  return next(given) == nil
end

--- Checks the `limits` of a provider: one RateLimits for all models, a table by
--- model (with `default`), or a function (model, key index) -> RateLimits.
---@return table|function|nil by_model
function limits.read(given, where)
  if given == nil or type(given) == "function" then return given end
  if type(given) ~= "table" then
    invalid("%s must be a table or a function, not a %s", where, type(given))
  end
  if is_one(given) then return { default = limits.check(given, where) } end
  local out = {}
  for model, one in pairs(given) do
    if type(model) ~= "string" then
      invalid("%s has no field %q", where, tostring(model))
    end
    if type(one) ~= "table" then invalid("%s has no field %q", where, model) end
    out[model] = limits.check(one, where .. "." .. model)
  end
  return out
end

local function set(pool, key, model, value)
  local ok, err = pool:set_limits(key, model, value)
  if not ok then error(errors.from_core(err), 0) end
end

--- Gives the pool the tables that hold from the start; functions come with
--- `evaluate`.
---@param pool userdata
---@param all table|function|nil what limits.read made of the provider's limits
---@param by_key table index -> the same
function limits.apply(pool, all, by_key)
  pool:clear_limits()
  if type(all) == "table" then
    for model, one in pairs(all) do
      set(pool, 0, model ~= "default" and model or nil, one)
    end
  end
  for index, own in pairs(by_key) do
    if type(own) == "table" then
      for model, one in pairs(own) do
        set(pool, index, model ~= "default" and model or nil, one)
      end
    end
  end
end

--- Evaluates limit functions for a model that is used for the first time.
function limits.evaluate(pool, all, by_key, model, indexes)
  for _, index in ipairs(indexes) do
    local fn = by_key[index] or all
    if type(fn) == "function" then
      local given = fn(model, index)
      if given ~= nil then
        set(pool, index, model, limits.check(given, "the limits function's result"))
      end
    end
  end
end

return limits
