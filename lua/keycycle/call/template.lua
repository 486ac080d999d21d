--- `{name}` in a provider's base_url, paths, queries, headers and fields, filled in
--- from what is no secret. The key itself is filled in elsewhere, in C.
local ascii = require "keycycle.ascii"

local template = {}

local DEPTH = 3 -- a default may name another value: azure's deployment is the model

local function percent(c)
  return ("%%%02X"):format(c:byte())
end

--- Percent-escapes a text for a query, or a host.
function template.escape(text)
  return (text:gsub("[^%w%-._~]", percent))
end

-- A path keeps the slash of names such as "org/model".
local function escape_path(text)
  return (text:gsub("[^%w%-._~/:@]", percent))
end

local function replace(text, value_of, quote, depth)
  if not text:find("{", 1, true) then return text end
  local whole = text:match "^{([%l_][%w_]*)}$" -- as most of those that have one
  if whole and whole ~= "api_key" and value_of(whole) == nil then return text, whole end
  local missing
  local out = text:gsub("{([%l_][%w_]*)}", function(name)
    if name == "api_key" then return nil end
    local value = value_of(name)
    if value == nil then
      missing = missing or name
      return nil
    end
    value = ascii.text(value)
    if depth < DEPTH and value:find "^{[%l_][%w_]*}$" then
      local filled, more = replace(value, value_of, quote, depth + 1)
      missing = missing or more
      return filled
    end
    return quote and quote(value) or value
  end)
  return out, missing
end

--- Fills a base_url: what is filled in cannot leave its place in the host.
---@param text string
---@param value_of fun(name: string): any
---@return string filled, string? missing the first name that has no value
function template.base(text, value_of)
  return replace(text, value_of, template.escape, 1)
end

--- Fills a path.
function template.path(text, value_of)
  return replace(text, value_of, escape_path, 1)
end

--- Fills any other text, as it is.
function template.text(text, value_of)
  return replace(text, value_of, nil, 1)
end

--- A text without its names: what it says itself.
function template.bare(text)
  return (text:gsub("{[%l_][%w_]*}", ""))
end

--- Whether a path is one that this text makes when it is filled in.
function template.fits(text, path)
  local pattern = text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("{[%l_][%w_]*}", ".+")
  return path:find("^" .. pattern .. "$") ~= nil
end

--- The names in a text, in order.
---@return string[]
function template.names(text)
  local names = {}
  for name in text:gmatch "{([%l_][%w_]*)}" do
    if name ~= "api_key" then names[#names + 1] = name end
  end
  return names
end

return template
