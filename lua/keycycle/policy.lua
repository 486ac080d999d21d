--- Policies: one function that says what to do after a failed attempt.
local builtin = require "keycycle.loader.builtin"
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local scripts = require "keycycle.loader.scripts"
local shape = require "keycycle.config.shape"

local invalid = errors.invalid

local policy = {}

local policy_mt = { __name = "keycycle.policy" }
local fields = { name = "string", max_retries = "number", decide = "function" }
local actions = { retry = true, rotate = true, disable = true, fail = true }
local LONGEST = 86400   -- seconds a policy may have a call wait
local MOST_RETRIES = 1000
local MOST_SHOWN = 300  -- characters of what it raised or answered

-- What a function was made into, and which policies were warned of: once is enough.
local of_function = setmetatable({}, { __mode = "k" })
local told = setmetatable({}, { __mode = "k" })

--- Defines a policy: `{ name=, max_retries=, decide = function(failure) }`.
--- `decide` answers "retry" (the same key), "rotate", "disable" (take the key
--- out, rotate) or "fail", and how many seconds to wait first. Raises
--- InvalidConfigurationError.
---@param definition table taken, not copied
function policy.define(definition)
  if type(definition) ~= "table" then invalid("a policy is a table, not a %s", type(definition)) end
  for k, v in pairs(definition) do
    if not fields[k] then
      invalid("a policy has no field %q (known: %s)", tostring(k), errors.list(fields))
    end
    if type(v) ~= fields[k] then invalid("policy.%s must be a %s", k, fields[k]) end
  end
  local most = definition.max_retries
  if most and not (math.tointeger(most) and most >= 0 and most <= MOST_RETRIES) then
    invalid("policy.max_retries must be a whole number from 0 to %d", MOST_RETRIES)
  end
  if definition.name then shape.name(definition.name, "policy.name") end
  if not definition.decide then invalid "policy.decide is missing" end
  return setmetatable(definition, policy_mt)
end

--- The policy of that name: a script's, else a built-in one; it is looked up whenever
--- it is used. Raises InvalidConfigurationError with the names that are known.
---@param name string
function policy.lookup(name)
  local found = scripts.get("policy", name)
  if found then return found end
  invalid("there is no policy %q (known: %s)", name, table.concat(scripts.names "policy", ", "))
end

--- The policy for what a program gave: a name, a definition, a function, nil
--- (the default). Raises InvalidConfigurationError.
function policy.get(given)
  if given == nil then given = "default" end
  if type(given) == "string" then return policy.lookup(given) end
  if type(given) == "function" then
    of_function[given] = of_function[given] or policy.define { decide = given }
    return of_function[given]
  end
  if getmetatable(given) == policy_mt then return given end
  return policy.define(given)
end

-- What a policy said, on one line of the log.
local function shown(value)
  return (tostring(value):sub(1, MOST_SHOWN):gsub("%c", " "))
end

-- What was answered, as action and seconds; else nil and what is wrong with it,
-- which is nothing where no answer was given.
local function read(failure, ok, action, seconds)
  if not ok then return nil, "failed: " .. shown(action) end
  if action == nil then return nil end
  if not actions[action] then
    return nil, ("answered %s, which is none of retry, rotate, disable, fail")
      :format(type(action) == "string" and '"' .. shown(action) .. '"' or type(action))
  end
  -- Asked to try the same key again, without a word of when: as the provider wants.
  if seconds == nil then return action, action == "retry" and failure.retry_after or 0 end
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= LONGEST) then
    return nil, ("answered %q after %s, which is no number of seconds up to %d")
      :format(action, type(seconds) == "number" and seconds or "a " .. type(seconds), LONGEST)
  end
  return action, seconds
end

--- Asks it. Where it gives no answer (nil), another than those words, a time that is
--- none, or fails, the default policy decides; of all but the first the log tells,
--- once a policy. Its seconds hold even where the provider asked for more; without
--- any, "retry" waits for as long as the provider asked.
---@param given table a policy
---@param failure table keycycle.Failure
---@return string action, number seconds
function policy.decide(given, failure)
  local action, seconds = read(failure, pcall(given.decide, failure))
  if action then return action, seconds end
  local default = builtin.get("policy", "default")
  if seconds and not told[given] then
    told[given] = true
    log.warn("policy %s %s: the default decides", given.name or "(a function)", seconds)
  end
  if given == default then return "fail", 0 end
  return policy.decide(default, failure)
end

return policy
