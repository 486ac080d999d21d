--- Letters and numbers of what is read and sent, whatever locale the program has set:
--- in Turkish the small letter of "I" is none of ASCII's, in German 0.5 is "0,5".
local ascii = {}

local small, capital = {}, {}
for code = ("A"):byte(), ("Z"):byte() do
  local upper, lower = string.char(code), string.char(code + 32)
  small[upper], capital[lower] = lower, upper
end

--- The text with small letters.
---@param text string
---@return string
function ascii.lower(text)
  return (text:gsub("[A-Z]", small))
end

--- The text with capital letters.
---@param text string
---@return string
function ascii.upper(text)
  return (text:gsub("[a-z]", capital))
end

--- A number that was written, with a decimal point.
---@param number string
---@return string
function ascii.point(number)
  return (number:gsub("[^%w+.-]+", "."))
end

--- A value as `tostring` writes it, a number with a decimal point.
---@param value any
---@return string
function ascii.text(value)
  local text = tostring(value)
  return math.type(value) == "float" and ascii.point(text) or text
end

return ascii
