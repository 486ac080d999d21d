--- Paths into an answer: "error.code", "errors[*].code", "header:name", "*".
---
--- A path is tried on each layer of the body, the innermost first; "error.code" also
--- finds the code of a flat body, and "code" that of a wrapped one. "*", "message" and
--- "error.message" also name the text of any layer, and a body that is plain text.
local ascii = require "keycycle.ascii"

local paths = {}

local MOST_TRIED = 64 -- values that one path is tried on, of one layer

local ANY = {}

-- "errors[*].code" as steps: names, indexes, ANY; nil: malformed.
local function compile_steps(path)
  local steps = {}
  for part in (path .. "."):gmatch "([^.]*)%." do
    local name, rest = part:match "^([^%[%]]+)(.*)$"
    if not name then return nil end
    steps[#steps + 1] = name
    while rest ~= "" do
      local index, more = rest:match "^%[([%d*]+)%](.*)$"
      if not index then return nil end
      steps[#steps + 1] = index == "*" and ANY or math.tointeger(tonumber(index)) or nil
      rest = more
    end
  end
  return steps
end

-- A path made ready: of a header, of any text, or of a layer.
local function compile_path(path)
  if type(path) ~= "string" then return nil end
  local header = path:match "^header:(.+)$"
  if header then return { header = ascii.lower(header) } end
  if path == "*" then return { texts = true } end
  local steps = compile_steps(path)
  local rest = path:match "^error%.(.+)$"
  return steps and { steps = steps, texts = (rest or path) == "message",
    rest = rest and compile_steps(rest) }
end

--- Makes a path, or a list of them, ready; nil when one is malformed.
---@param path string|table
---@return table?
function paths.compile(path)
  local out = {}
  for i, one in ipairs(type(path) == "table" and path or { path }) do
    out[i] = compile_path(one)
    if not out[i] then return nil end
  end
  return #out > 0 and out or nil
end

-- Calls fn with each value at the steps, until it says true. `budget` bounds them.
local function each(value, steps, i, budget, fn)
  if steps[i] == nil then
    budget.left = budget.left - 1
    return value ~= nil and budget.left >= 0 and fn(value)
  end
  if type(value) ~= "table" then return false end
  if steps[i] ~= ANY then
    return each(rawget(value, steps[i]), steps, i + 1, budget, fn)
  end
  local n = 1
  while budget.left > 0 do
    local element = rawget(value, n)
    if element == nil then return false end
    if each(element, steps, i + 1, budget, fn) then return true end
    n = n + 1
    budget.left = budget.left - 1
  end
  return false
end

-- Calls fn with each value that one path names in an answer, until it says true.
local function at_path(path, seen, fn)
  if path.header then
    local value = seen.headers[path.header]
    return value ~= nil and fn(value)
  end
  for _, layer in ipairs(path.steps and seen.layers or {}) do
    local budget = { left = MOST_TRIED }
    if each(layer.body, path.steps, 1, budget, fn)
      or each(layer.error, path.rest or path.steps, 1, budget, fn) then
      return true
    end
  end
  for _, text in ipairs(path.texts and seen.texts or {}) do
    if fn(text) then return true end
  end
  return false
end

--- Whether any value at compiled paths is one that `fn` says true to.
---@param compiled table
---@param seen table an answer: headers (lower-case names), layers, texts
---@param fn fun(value: any): boolean
function paths.any(compiled, seen, fn)
  for _, path in ipairs(compiled) do
    if at_path(path, seen, fn) then return true end
  end
  return false
end

--- The first value at compiled paths of which `read` makes something: that, or nil.
---@param compiled table
---@param seen table as for paths.any
---@param read fun(value: any): any
function paths.first(compiled, seen, read)
  local found
  paths.any(compiled, seen, function(value)
    found = read(value)
    return found ~= nil
  end)
  return found
end

return paths
