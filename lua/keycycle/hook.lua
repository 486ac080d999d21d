--- Calls of functions that a script or a program gave, where what they do wrong must
--- cost nobody an answer: the log tells of it, once a function, and the caller goes on
--- without.
local log = require "keycycle.log"

local hook = {}

local told = setmetatable({}, { __mode = "k" })

--- Warns of a function's fault, the first time only.
---@param fn function
---@param fmt string as string.format takes it, with what follows
function hook.tell(fn, fmt, ...)
  if told[fn] then return end
  told[fn] = true
  log.warn(fmt, ...)
end

--- Calls fn(...): its first result where `check` is content with it. Where it raises,
--- or check(result) answers with what is wrong, a warning says so and there is none.
--- Want of memory is raised.
---@param what string whose function it is, for the log
---@param check fun(value: any): string?
---@param fn function
---@return boolean ok, any value
function hook.call(what, check, fn, ...)
  local ok, value = pcall(fn, ...)
  if not ok and value == "not enough memory" then error(value, 0) end
  local why
  if ok then why = check(value) else why = tostring(value) end
  if not why then return true, value end
  hook.tell(fn, "%s failed, and is done without: %s", what, why)
  return false
end

return hook
