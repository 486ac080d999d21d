--- The options of a client, a call and a lease, checked (keycycle.CallOptions in meta/).
local errors = require "keycycle.errors"
local policy = require "keycycle.policy"

local invalid = errors.invalid

local options = {}

local known = {
  model = "string", estimated_tokens = "number", max_retries = "number", wait = "boolean",
  timeout = "number", request_timeout = "number", idle_timeout = "number",
  deadline = "number", priority = "number", affinity = "string", key_id = "any",
  pin_key = "boolean", policy = "any", usage_extractor = "function", model_param = "string",
  excluded_params = "table", base_url = "string", headers = "table",
}
local MOST_TOKENS = 2 ^ 53 -- what JSON's numbers hold exactly

local function check_number(name, value)
  if value ~= value or value < 0 then invalid("option %s must not be negative", name) end
  if name == "estimated_tokens" and value > MOST_TOKENS then
    invalid "option estimated_tokens is too large"
  end
  if name == "priority" and not (math.tointeger(value) and value <= 7) then
    invalid "option priority goes from 0 to 7"
  end
end

local values = { string = true, number = true, boolean = true }

--- Checks header fields that a program gave, by their names: what would end a line could
--- begin another field. Raises InvalidConfigurationError.
---@param headers table
---@param where string what they are, for the error
function options.check_headers(headers, where)
  for name, value in pairs(headers) do
    if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
      invalid("%s: %q is no name of a header field", where, tostring(name))
    end
    -- The value is not repeated: it may be a key.
    if not values[type(value)] or tostring(value):find "[\0-\8\10-\31\127]" then
      invalid("%s: %s must be a text without line ends and other control characters", where, name)
    end
  end
end

local function raise_unknown(name, more)
  local all = {}
  for _, list in ipairs { known, more } do
    for k in pairs(list) do all[k] = true end
  end
  invalid("there is no option %q (known: %s)", tostring(name), errors.list(all))
end

--- Checks a table of options and returns it; raises InvalidConfigurationError.
---@param opts table
---@param more? table what is known beside a call's options: types by names, or "any"
function options.check(opts, more)
  if type(opts) ~= "table" then invalid("options are a table, not a %s", type(opts)) end
  more = more or {}
  for k, v in pairs(opts) do
    local want = known[k] or more[k]
    if not want then raise_unknown(k, more) end
    if want ~= "any" and type(v) ~= want then invalid("option %s must be a %s", k, want) end
    if want == "number" then check_number(k, v) end
    if k == "policy" then policy.get(v) end
    if k == "headers" then options.check_headers(v, "option headers") end
  end
  return opts
end

--- A table with what is in `base`, and in `more`, which wins.
---@param base? table
---@param more? table
function options.merge(base, more)
  local all = {}
  for k, v in pairs(base or {}) do all[k] = v end
  for k, v in pairs(more or {}) do all[k] = v end
  return all
end

return options
