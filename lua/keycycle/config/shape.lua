--- What the parts of a definition must look like, so that nothing in one ends up in a
--- request, a variable or a line of the log as what it is not.
local errors = require "keycycle.errors"

local invalid = errors.invalid

local shape = {}

local MOST_NAME = 100

-- A variable whose name ends so holds a secret.
local secret_ends = { KEY = true, KEYS = true, SECRET = true, TOKEN = true, PASSWORD = true }

--- Raises InvalidConfigurationError unless `name` is a text of UTF-8 without control
--- characters and slashes, of at most 100 bytes.
function shape.name(name, where)
  if type(name) ~= "string" or name == "" then invalid("%s is missing", where) end
  if #name > MOST_NAME or name:find "[%c/\\]" then
    invalid("%s has at most %d characters, none of them a slash or a control character", where,
      MOST_NAME)
  end
  if not utf8.len(name) then invalid("%s is not UTF-8", where) end
end

local function is_plain(value)
  local kind = type(value)
  if kind == "number" then return value == value and value ~= 1 / 0 and value ~= -1 / 0 end
  return kind == "string" or kind == "boolean"
end

--- The same for what stands after the "?": one text, number or boolean a name.
function shape.query(query, where)
  for name, value in pairs(query) do
    if type(name) ~= "string" or not is_plain(value) then
      invalid("%s.%s must be a text, a number or a boolean", where, tostring(name))
    end
  end
end

--- The same for fields of a body: what JSON has.
function shape.json(value, where)
  if is_plain(value) then return end
  if type(value) ~= "table" then invalid("%s cannot be sent: it is a %s", where, type(value)) end
  for k, v in pairs(value) do shape.json(v, where .. "." .. tostring(k)) end
end

--- The same for paths into an answer, by name.
function shape.paths(paths, where)
  for name, path in pairs(paths) do
    if type(path) ~= "string" or path == "" then
      invalid("%s.%s must be a path such as \"usage.total\"", where, tostring(name))
    end
  end
end

--- The same for the name of a route, "chat.completions.create".
function shape.route_name(name, where)
  local ok = type(name) == "string" and #name <= MOST_NAME and name ~= "request"
  for part in ok and (name .. "."):gmatch "([^.]*)%." or function() end do
    ok = ok and part:find "^[%a_][%w_]*$" ~= nil
  end
  if not ok then
    invalid("%s: a route's name is such as \"chat.completions.create\", and not %q", where,
      tostring(name))
  end
end

--- Whether a variable is where this or any other program may have a secret, and so
--- must not be read as a parameter, which is sent in the open.
---@param variable string in capitals
function shape.is_secret(variable)
  local last = variable:gsub("_%d+$", ""):match "[^_]*$"
  return secret_ends[last] or variable:find("API_KEY", 1, true) ~= nil
end

return shape
