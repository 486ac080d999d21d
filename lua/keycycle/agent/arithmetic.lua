--- The value of an arithmetic expression: numbers, + - * / % ^ and brackets. It is read
--- here and nowhere run, so it may come from anybody.
local arithmetic = {}

local DEEPEST = 100 -- brackets and signs inside each other
local LONGEST = 1000 -- bytes

-- The reading of one expression: where it is, and how deep.
local methods = {}
local reader_mt = { __index = methods }

-- Takes what the pattern matches at this place, behind spaces.
function methods:take(pattern)
  local found, behind = self.text:match("^%s*(" .. pattern .. ")()", self.at)
  if found then self.at = behind end
  return found
end

function methods:stop()
  local place = self.text:match("^%s*()", self.at)
  local near = self.text:sub(place, place + 9)
  error(near == "" and { why = "it ends too soon" }
    or { why = ("%q at byte %d is not understood"):format(near, place) }, 0)
end

-- A number, or an expression in brackets.
function methods:operand()
  local digits = self:take "%d+%.?%d*[eE][+-]?%d+" or self:take "%.%d+" or self:take "%d+%.?%d*"
  if digits then return tonumber(digits) + 0.0 end
  if not self:take "%(" then self:stop() end
  local value = self:sum()
  if not self:take "%)" then self:stop() end
  return value
end

-- `^` binds closer than a sign before it, and from the right.
function methods:signed()
  self.depth = self.depth + 1
  if self.depth > DEEPEST then error({ why = "it is nested too deep" }, 0) end
  local sign = self:take "[+-]"
  local value
  if sign then
    value = sign == "-" and -self:signed() or self:signed()
  else
    value = self:operand()
    if self:take "%^" then value = value ^ self:signed() end
  end
  self.depth = self.depth - 1
  return value
end

function methods:product()
  local value = self:signed()
  while true do
    local operator = self:take "[*/%%]"
    if not operator then return value end
    local other = self:signed()
    if operator == "*" then value = value * other
    elseif operator == "/" then value = value / other
    else value = value % other end
  end
end

function methods:sum()
  local value = self:product()
  while true do
    local operator = self:take "[+-]"
    if not operator then return value end
    local other = self:product()
    value = operator == "+" and value + other or value - other
  end
end

--- The value of `text`, a whole number where it is one; or nil and what is wrong.
---@param text string
---@return number? value, string? why
function arithmetic.value(text)
  if #text > LONGEST then return nil, "the expression is too long" end
  local reader = setmetatable({ text = text, at = 1, depth = 0 }, reader_mt)
  local ok, value = pcall(reader.sum, reader)
  if ok and reader.text:find("%S", reader.at) then ok, value = pcall(reader.stop, reader) end
  if not ok then
    if type(value) ~= "table" then error(value, 0) end
    return nil, value.why
  end
  if value ~= value or value == math.huge or value == -math.huge then
    return nil, "it has no finite value"
  end
  return math.tointeger(value) or value
end

return arithmetic
