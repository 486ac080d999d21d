--- Calls of functions that a script or a program gave, where what they do wrong must
--- cost nobody an answer: the log tells of it, once a function, and the caller goes on
--- without.
local log = require "keycycle.log"

local hook = {}

local MOST_SHOWN = 300 -- characters of what it raised

local told = setmetatable({}, { __mode = "k" })

-- On one line of the log; what it was given may have held a key.
local function shown(text, pool)
  if pool then text = pool:redact(text) or "something that cannot be shown" end
  return (text:sub(1, MOST_SHOWN):gsub("%c", " "))
end

--- Warns of a function's fault, the first time only.
---@param fn function
---@param what string whose function it is
---@param why string
---@param pool? userdata whose keys may stand in `why`
function hook.tell(fn, what, why, pool)
  if told[fn] then return end
  told[fn] = true
  log.warn("%s failed, and is done without: %s", what, shown(why, pool))
end

--- Calls fn(...): its first result where `check` is content with it. Where it raises,
--- or check(result) answers with what is wrong, a warning says so and there is none.
--- Want of memory is raised.
---@param about table what (whose function it is, for the log), check (fun(value): string?),
--- pool (whose keys may be in what it is given)
---@param fn function
---@return boolean ok, any value
function hook.call(about, fn, ...)
  local ok, value = pcall(fn, ...)
  if not ok and value == "not enough memory" then error(value, 0) end
  local why
  if ok then why = about.check(value) else why = tostring(value) end
  if not why then return true, value end
  hook.tell(fn, about.what, why, about.pool)
  return false
end

return hook
