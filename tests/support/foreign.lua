--- What the specs of other clients have in common: a wrapper of two keys, the first of
--- which is used first, on a clock of the test, and a class of one method.
local keycycle = require "keycycle"

local foreign = {}

foreign.KEYS = { "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba" }
foreign.SLOW = { error = { message = "Rate limit reached", code = "rate_limit_exceeded" } }
foreign.HOUR = { ["retry-after"] = "3600" }

--- A class whose method `ask` is fn(key, …).
function foreign.asking(fn)
  return function(params)
    return { ask = function(_, ...) return fn(params.api_key, ...) end }
  end
end

--- Opens it: `wrapper`, `clock`, and the functions total(), state_of(index) and
--- client_of(fn, opts). The spec stops the wrapper.
function foreign.open()
  local clock = keycycle.clock.manual(1e9)
  local wrapper = keycycle.MultiClientWrapper.new { clock = clock,
    db_env_var = "KEYCYCLE_NO_SUCH_VARIABLE" }
  wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1", keys = foreign.KEYS,
    default_model = "m", selection = "fill_first" })
  local manager = wrapper:get_manager "p"
  return {
    wrapper = wrapper, clock = clock,
    total = function() return manager:get_global_stats().total end,
    state_of = function(index) return manager:keys()[index].state end,
    client_of = function(fn, opts)
      return wrapper:get_rotating_client("p", foreign.asking(fn), opts)
    end,
  }
end

return foreign
