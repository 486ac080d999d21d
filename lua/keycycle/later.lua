--- Parts of the library that are loaded when they are first used, since most programs use
--- few of them.
---
--- They are loaded by the library's own `require`, and belong to the library as it was
--- loaded: once that was closed, and is perhaps loaded anew, no more of the old one is.
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local later = {}

local function get(name)
  if core.current() ~= core then
    errors.raise(errors.KeycycleError, { code = "closed",
      message = "keycycle was closed in this Lua state" })
  end
  return require(name)
end

--- Stands for a module: it is loaded when a field of it is first asked for.
---@param name string
---@return table
function later.module(name)
  local mt = {}
  function mt.__index(_, field)
    mt.__index = get(name)
    return mt.__index[field]
  end
  return setmetatable({}, mt)
end

--- Stands for a function of a module that is loaded at the first call. What it raises is
--- raised as if it were called itself.
---@param name string of the module
---@param field string
---@return fun(...: any): ...
function later.call(name, field)
  local fn
  return function(...)
    fn = fn or get(name)[field]
    return fn(...)
  end
end

return later
