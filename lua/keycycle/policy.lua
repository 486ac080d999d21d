--- Policies: one function that says what to do after a failed attempt.
local errors = require "keycycle.errors"
local log = require "keycycle.log"

local invalid = errors.invalid

local policy = {}

local policy_mt = { __name = "keycycle.policy" }
local fields = { name = "string", max_retries = "number", decide = "function" }
local actions = { retry = true, rotate = true, disable = true, fail = true }

--- Defines a policy: `{ name=, max_retries=, decide = function(failure) }`.
--- `decide` answers "retry" (the same key), "rotate", "disable" (take the key
--- out, rotate) or "fail", and how many seconds to wait first.
function policy.define(definition)
  if type(definition) ~= "table" then invalid("a policy is a table, not a %s", type(definition)) end
  for k, v in pairs(definition) do
    if not fields[k] then invalid("a policy has no field %q", tostring(k)) end
    if type(v) ~= fields[k] then invalid("policy.%s must be a %s", k, fields[k]) end
  end
  if not definition.decide then invalid "policy.decide is missing" end
  return setmetatable(definition, policy_mt)
end

local built_in = { default = true }

--- The policy for what a program gave: a name, a definition, a function, nil.
function policy.get(given)
  if given == nil then given = "default" end
  if type(given) == "string" then
    if not built_in[given] then invalid("there is no policy %q (known: default)", given) end
    return require("keycycle.policies." .. given)
  end
  if type(given) == "function" then return policy.define { decide = given } end
  if getmetatable(given) == policy_mt then return given end
  return policy.define(given)
end

--- Asks it. What it cannot answer, the default policy decides.
---@return string action, number seconds
function policy.decide(given, failure)
  local ok, action, seconds = pcall(given.decide, failure)
  if not ok then
    log.warn("policy %s failed, the default decides: %s", given.name or "?", tostring(action))
  end
  seconds = tonumber(seconds)
  if not seconds or seconds ~= seconds or seconds < 0 then seconds = 0 end
  if ok and actions[action] then return action, seconds end
  local default = policy.get "default"
  if given == default then return "fail", 0 end
  return policy.decide(default, failure)
end

return policy
