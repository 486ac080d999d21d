--- What can be told of functions of others: whether a value is one, is a class, or holds
--- some, and what its parameters are called.
local functions = {}

local MOST_FIELDS = 256 -- that are looked at, in all
local MOST_DEPTH = 4

local selves = { self = true, _self = true, cls = true, class = true, this = true }

local function metatable(value)
  local mt = getmetatable(value)
  if type(value) == "string" then return nil end
  return mt
end

--- Whether a value can be called.
function functions.callable(value)
  local mt = metatable(value)
  return type(value) == "function" or type(mt) == "table" and mt.__call ~= nil
end

--- A class's own `new`; nil where it has none.
function functions.constructor(class)
  return type(class) == "table" and functions.callable(class.new) and class.new or nil
end

--- Whether a value can be made clients of: a function, or a table with `new` or `__call`.
function functions.is_class(value)
  return functions.callable(value) and type(value) ~= "userdata"
    or functions.constructor(value) ~= nil
end

--- The name of a Lua function's n-th parameter; nil where nobody knows.
function functions.parameter(fn, n)
  return type(fn) == "function" and debug.getlocal(fn, n) or nil
end

--- Whether a function's first parameter is, by its name, the object it belongs to.
function functions.wants_self(fn)
  return selves[functions.parameter(fn, 1)] == true
end

local function within(value, depth, budget)
  if type(value) == "function" then return true end
  local mt = metatable(value)
  if mt ~= nil and type(mt) ~= "table" then return true end -- it hides what it is
  if mt and (mt.__call or type(mt.__index) == "function") then return true end
  if type(value) ~= "table" then return mt ~= nil and mt.__index ~= nil end
  if depth == 0 then return false end
  if mt and type(mt.__index) == "table" and within(mt.__index, depth - 1, budget) then
    return true
  end
  for _, field in next, value do
    budget.left = budget.left - 1
    if budget.left < 0 then return false end
    if within(field, depth - 1, budget) then return true end
  end
  return false
end

--- Whether a value is a function or leads to one: what else is data.
function functions.within(value)
  return within(value, MOST_DEPTH, { left = MOST_FIELDS })
end

return functions
