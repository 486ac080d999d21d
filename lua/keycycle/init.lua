--- keycycle: picks, for each call, an API key that still has room.
---
--- Requiring it does no I/O, starts no thread and sets no global.
local core = require "keycycle.core"
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local faces = require "keycycle.faces"
local group = require "keycycle.task.group"
local http = require "keycycle.http"
local info = require "keycycle.info"
local json = require "keycycle.json"
local limits = require "keycycle.limits"
local loader = require "keycycle.loader"
local log = require "keycycle.log"
local policy = require "keycycle.policy"
local provider = require "keycycle.provider"
local provider_wrapper = require "keycycle.provider_wrapper"
local simulate = require "keycycle.simulate"
local task = require "keycycle.task"
local wrapper = require "keycycle.wrapper"
local classify = require "keycycle.classify"

core.set_error(function(code, message)
  return errors.new(errors.KeycycleError, { code = code, message = message })
end)

local keycycle = {
  _VERSION = core.VERSION,
  MultiClientWrapper = { new = wrapper.new, from_env = wrapper.from_env },
  MultiProviderWrapper = { new = provider_wrapper.new, from_env = provider_wrapper.from_env },
  RateLimitStrategy = { PER_MODEL = "per_model", GLOBAL = "global" },
  clock = { now = function() return core.now() end, manual = core.manual_clock },
  json = json, log = log, http = http,
  info = info.of, load_api_keys = config.load_api_keys,
  simulate = simulate.run, policy = policy.define, provider = provider.define,
  load = loader.load, reload = loader.reload, is = errors.is, try = errors.try,
  run = group.run, spawn = task.spawn, gather = group.gather, sleep = task.sleep,
  step = task.step, pollfd = task.pollfd, timeout = task.timeout, wrap = task.wrap,
  close = task.close,
}

--- Interfaces of other libraries over this one's transport: `keycycle.compat.socket_http`.
keycycle.compat = setmetatable({}, { __index = function(compat, name)
  if name == "socket_http" then
    compat.socket_http = require "keycycle.compat.socket_http"
  end
  return rawget(compat, name)
end })

for _, name in ipairs(errors.names) do keycycle[name] = errors[name] end
for name, face in pairs(faces.all) do keycycle[name] = face end

--- Makes an agent; see keycycle/agent.lua.
function keycycle.Agent(given)
  return require "keycycle.agent".new(given)
end

--- Checks limits and returns them; see API.md section 3.
function keycycle.RateLimits(given)
  return limits.check(given, "RateLimits")
end

--- Checks a provider's configuration and returns it.
function keycycle.ProviderEnvConfig(given)
  config.check_provider("(any)", given)
  return given
end

--- What a response means: `{ kind, scope, window, retry_after, reset_after }`. An
--- unknown provider gets the generic rules.
function keycycle.classify(name, response)
  if type(response) ~= "table" then
    error("classify needs { status =, headers =, body = }, not a " .. type(response), 2)
  end
  return classify.classify(provider.get(name), response)
end

return keycycle
