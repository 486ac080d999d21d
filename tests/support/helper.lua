-- For busted: the tests' own modules are found, and so are the library's parts,
-- which come with the module. With KEYCYCLE_EAGER_GC all garbage is collected
-- over and over, in every coroutine: what is held too loosely goes.
package.path = "./?.lua;" .. package.path
require "keycycle"

local every = tonumber(os.getenv "KEYCYCLE_EAGER_GC")
if every then
  local create = coroutine.create
  local function eager(co)
    debug.sethook(co, function() collectgarbage() end, "", every)
    return co
  end
  coroutine.create = function(fn) return eager(create(fn)) end -- luacheck: ignore 122
  eager(coroutine.running())
end
