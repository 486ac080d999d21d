--- keycycle: picks, for each call, an API key that still has room.
---
--- Requiring it does no I/O, starts no thread and sets no global. It loads tasks and
--- errors; what calls are made of is loaded at the first one.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local faces = require "keycycle.faces"
local later = require "keycycle.later"
local task = require "keycycle.task"

local call = later.call
local classify = later.module "keycycle.classify"
local config = later.module "keycycle.config"
local limits = later.module "keycycle.limits"
local provider = later.module "keycycle.provider"

core.set_error(function(code, message)
  return errors.new(errors.KeycycleError, { code = code, message = message })
end)

local function wrapper(module)
  return { new = call(module, "new"), from_env = call(module, "from_env") }
end

local keycycle = {
  _VERSION = core.VERSION,
  MultiClientWrapper = wrapper "keycycle.wrapper",
  MultiProviderWrapper = wrapper "keycycle.provider_wrapper",
  RateLimitStrategy = { PER_MODEL = "per_model", GLOBAL = "global" },
  clock = { now = function() return core.now() end, manual = core.manual_clock },
  json = require "keycycle.json", log = require "keycycle.log", http = require "keycycle.http",
  info = require "keycycle.info".of, load_api_keys = call("keycycle.config", "load_api_keys"),
  simulate = call("keycycle.simulate", "run"),
  policy = call("keycycle.policy", "define"), provider = call("keycycle.provider", "define"),
  load = call("keycycle.loader", "load"), reload = call("keycycle.loader", "reload"),
  Agent = call("keycycle.agent", "new"), -- see keycycle/agent.lua
  is = errors.is, try = errors.try,
  run = call("keycycle.task.group", "run"), gather = call("keycycle.task.group", "gather"),
  spawn = task.spawn, sleep = task.sleep, wrap = task.wrap,
  step = task.step, pollfd = task.pollfd, timeout = task.timeout,
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

--- Checks limits and returns them; see limits.lua.
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
