--- What another client raises or returns in an error's place, without the keys that it
--- may show.
local errors = require "keycycle.errors"

local blackout = {}

local MOST_DEPTH = 6
local MOST_FIELDS = 1000 -- that are looked at, in all
local UNSHOWN = "an error that cannot be shown"

local value_of

-- A copy where a key is in it, of the same kind; else the table itself. One that is
-- finalized is left alone: its copy would be, too.
local function table_of(pool, given, depth, budget)
  local mt, copy = debug.getmetatable(given), nil
  if depth == 0 or errors.is_error(given) or mt and mt.__gc then return given end
  for name, field in next, given do
    budget.left = budget.left - 1
    if budget.left < 0 then break end
    local shown = value_of(pool, field, depth - 1, budget)
    if not rawequal(shown, field) then
      if not copy then
        copy = {}
        for k, v in next, given do copy[k] = v end
      end
      copy[name] = shown
    end
  end
  return copy and debug.setmetatable(copy, mt) or given
end

function value_of(pool, value, depth, budget)
  if type(value) == "string" then return pool:redact(value) or UNSHOWN end
  if type(value) ~= "table" then return value end
  return table_of(pool, value, depth, budget)
end

--- An error of whatever kind: itself, or a copy where it shows a key. Nothing is written
--- to what was given, which may be the client itself.
---@param pool userdata whose keys they are
---@param err any
function blackout.value(pool, err)
  return value_of(pool, err, MOST_DEPTH, { left = MOST_FIELDS })
end

--- Raises an error again.
function blackout.raise(pool, err)
  error(blackout.value(pool, err), 0)
end

local function pass(pool, ok, ...)
  if ok then return ... end
  blackout.raise(pool, (...))
end

--- Calls `fn(...)`: its results, or its error without keys.
function blackout.call(pool, fn, ...)
  return pass(pool, pcall(fn, ...))
end

return blackout
