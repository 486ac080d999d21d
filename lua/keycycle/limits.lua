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
  day_resets_at = true, windows = true,
}
local DAY = "day_resets_at" -- the zone at whose midnight the day begins
local in_window = { seconds = true, requests = true, tokens = true, input_tokens = true,
  output_tokens = true }
local MOST_SECONDS = 31 * 86400
local MOST_WINDOWS = 4 -- as the engine has, with the minute of input and output

local function is_count(value)
  local n = math.type(value) and math.tointeger(value)
  return n and n >= 0 and n or nil
end

local function check_count(name, value, where)
  if not known[name] then
    invalid("%s has no field %q (known: %s)", where, tostring(name), errors.list(known))
  end
  local n = is_count(value)
  if not n then invalid("%s.%s must be a whole number, not negative", where, name) end
  return n
end

local function check_zone(name, where)
  if type(name) ~= "string" or not core.zone_known(name) then
    invalid("%s.%s must be a time zone such as \"UTC\" or \"America/Los_Angeles\"", where, DAY)
  end
end

local function check_window(given, where)
  if type(given) ~= "table" then invalid("%s must be a table, not a %s", where, type(given)) end
  for k in pairs(given) do
    if not in_window[k] then
      invalid("%s has no field %q (known: %s)", where, tostring(k), errors.list(in_window))
    end
  end
  local seconds = given.seconds
  if not (math.type(seconds) and seconds >= 0.001 and seconds <= MOST_SECONDS) then
    invalid("%s.seconds must be a number from 0.001 to %d", where, MOST_SECONDS)
  end
  local out = { seconds = seconds }
  for k, v in pairs(given) do
    if k ~= "seconds" then
      out[k] = is_count(v)
      if not out[k] then invalid("%s.%s must be a whole number, not negative", where, k) end
    end
  end
  if next(out, next(out)) == nil then invalid("%s limits nothing", where) end
  return out
end

-- A window that tells input and output apart is one of its own beside that of the
-- requests and tokens in the same time.
local function count_windows(out)
  local n = (out.input_tokens_per_minute or out.output_tokens_per_minute) and 1 or 0
  for _, w in ipairs(out.windows) do
    if w.requests or w.tokens then n = n + 1 end
    if w.input_tokens or w.output_tokens then n = n + 1 end
  end
  return n
end

local function check_windows(given, where)
  if type(given) ~= "table" or given.seconds then
    invalid("%s must be a list of windows", where)
  end
  local list = {}
  for i, one in ipairs(given) do list[i] = check_window(one, ("%s[%d]"):format(where, i)) end
  for k in pairs(given) do
    if not list[k] then invalid("%s has no field %q", where, tostring(k)) end
  end
  return list
end

--- Checks one RateLimits: nil is unlimited, 0 is blocked; `day_resets_at` names the
--- zone at whose midnight the day begins anew (nil: any 24 hours); `windows` lists
--- further ones, `{ seconds =, requests =, tokens =, input_tokens =, output_tokens = }`
--- each (0.001 s to 31 days, four at most).
---@param given table
---@param where? string for messages
function limits.check(given, where)
  where = where or "limits"
  if type(given) ~= "table" then invalid("%s must be a table, not a %s", where, type(given)) end
  local out = {}
  for k, v in pairs(given) do
    if k == DAY then
      check_zone(v, where)
      out[k] = v
    elseif k == "windows" then
      out[k] = check_windows(v, where .. ".windows")
    else
      out[k] = check_count(k, v, where)
    end
  end
  if out.windows and count_windows(out) > MOST_WINDOWS then
    invalid("%s.windows: more than %d windows", where, MOST_WINDOWS)
  end
  return setmetatable(out, limits_mt)
end

local function is_one(given)
  if getmetatable(given) == limits_mt then return true end
  for k in pairs(given) do
    if known[k] then return true end
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
    if type(one) ~= "table" then
      invalid("%s has no field %q, and what holds for a model is a table", where, model)
    end
    out[model] = limits.check(one, where .. "." .. model)
  end
  return out
end

return limits
