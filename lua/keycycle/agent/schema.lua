--- A small checker of JSON schema, for the arguments of tools.
---
--- It knows type (also a list of them), nullable, enum, const, properties, required,
--- additionalProperties, items, minItems, maxItems, minimum, maximum, exclusiveMinimum,
--- exclusiveMaximum, minLength, maxLength, anyOf, oneOf and allOf. All else is ignored,
--- `pattern`, `format` and `$ref` too: what they ask for is the tool's own to check. Pure.
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local schema = {}

local json = core.json
local invalid = errors.invalid
local LIST = getmetatable(json.array {}) -- what decoded lists have

local MOST_SHOWN = 60    -- bytes of a value in a problem
local MOST_PROBLEMS = 8  -- more would not help who sent them

-- Whether a table is marked as a list.
local function is_marked(value)
  return getmetatable(value) == LIST
end

--- Whether a value is a list, as JSON has it: an empty table is an object unless it is
--- marked as a list.
function schema.is_list(value)
  if type(value) ~= "table" then return false end
  if is_marked(value) then return true end
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  return n > 0 and n == #value
end

local is_list = schema.is_list

local fits = {
  string = function(value) return type(value) == "string" end,
  number = function(value) return type(value) == "number" end,
  integer = function(value) return type(value) == "number" and math.tointeger(value) ~= nil end,
  boolean = function(value) return type(value) == "boolean" end,
  null = function(value) return value == json.null end,
  array = is_list,
  object = function(value) return type(value) == "table" and not is_list(value) end,
}

--- A copy of plain data, marked lists included.
---@param value any
---@param depth? integer most tables within one another; nil: it is known to have an end
---@return any copy nil where it is deeper, or cyclic
function schema.copy(value, depth)
  if type(value) ~= "table" then return value end
  if depth == 0 then return nil end
  local copy = {}
  for k, v in pairs(value) do
    local inner = schema.copy(v, depth and depth - 1)
    if inner == nil then return nil end
    copy[k] = inner
  end
  return is_marked(value) and json.array(copy) or copy
end

local prepare

-- Marked as a list: an empty one would become {}.
local function as_list(value, where)
  if type(value) ~= "table" or next(value) ~= nil and not is_list(value) then
    invalid("%s must be a list", where)
  end
  return json.array(value)
end

local function schemas_in(value, where)
  if type(value) ~= "table" then invalid("%s must be a table of schemas", where) end
  for name, inner in pairs(value) do prepare(inner, ("%s.%s"):format(where, name)) end
end

local function type_in(value, where)
  for _, name in ipairs(type(value) == "table" and as_list(value, where) or { value }) do
    if not fits[name] then
      invalid("%s is %s; a type is one of %s", where, tostring(name), errors.list(fits))
    end
  end
end

local function number_in(value, where)
  if type(value) ~= "number" then invalid("%s must be a number", where) end
end

local function names_in(value, where)
  for _, name in ipairs(as_list(value, where)) do
    if type(name) ~= "string" then invalid("%s must be a list of names", where) end
  end
end

local function alternatives_in(value, where)
  schemas_in(as_list(value, where), where)
end

local forms = { type = type_in, required = names_in, enum = as_list, properties = schemas_in,
  anyOf = alternatives_in, oneOf = alternatives_in, allOf = alternatives_in,
  items = function(...) prepare(...) end, additionalProperties = function(...) prepare(...) end }
for _, name in ipairs { "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum",
  "exclusiveMinimum", "exclusiveMaximum" } do
  forms[name] = number_in
end

-- Checks the form of a schema that is ours, and marks its lists.
function prepare(given, where)
  if type(given) == "boolean" then return end
  if type(given) ~= "table" then invalid("%s must be a schema (a table)", where) end
  for name, check in pairs(forms) do
    if given[name] ~= nil then check(given[name], where .. "." .. name) end
  end
end

--- Checks the form of a tool's schema: a copy of it that can be sent and checked with.
--- Servers want its type and properties said: these may be left out here. Raises
--- InvalidConfigurationError, naming the place.
---@param given table
---@param where string what it is, for the error
---@return table
function schema.prepare(given, where)
  if type(given) ~= "table" then invalid("%s must be a table, not a %s", where, type(given)) end
  local sent, why = json.encode(given)
  if not sent then invalid("%s cannot be sent: %s", where, why) end
  local copy = schema.copy(given)
  if copy.type == nil and (copy.properties or next(copy) == nil) then copy.type = "object" end
  if copy.type ~= "object" then
    invalid('%s.type must be "object": arguments have names, each with its schema in %s.properties',
      where, where)
  end
  copy.properties = copy.properties or {}
  prepare(copy, where)
  return copy
end

-- A value as a problem shows it.
local function shown(value)
  local text = json.encode(value) or type(value)
  if #text <= MOST_SHOWN then return text end
  return text:sub(1, utf8.offset(text, 0, MOST_SHOWN) - 1) .. "…"
end

local function add(out, at, fmt, ...)
  if #out >= MOST_PROBLEMS then return end
  out[#out + 1] = (at == "" and "the value" or at) .. " " .. fmt:format(...)
end

local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not equal(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return is_list(a) == is_list(b)
end

local function type_fits(wanted, value)
  for _, name in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    if fits[name](value) then return true end
  end
  return false
end

-- Whether a schema names null: decoded arguments that are null are absent.
local function takes_null(s)
  if type(s) ~= "table" then return false end
  if s.nullable or s.type and type_fits(s.type, json.null) then return true end
  for _, list in ipairs { s.anyOf or {}, s.oneOf or {} } do
    for _, inner in ipairs(list) do
      if takes_null(inner) then return true end
    end
  end
  return false
end

local check

local function check_values(s, value, at, out)
  if s.const ~= nil and not equal(s.const, value) then
    add(out, at, "must be %s, not %s", shown(s.const), shown(value))
  end
  for _, one in ipairs(s.enum or {}) do
    if equal(one, value) then return end
  end
  if s.enum then add(out, at, "must be one of %s, not %s", shown(s.enum), shown(value)) end
end

local function check_number(s, value, at, out)
  local function must(ok, words, limit)
    if not ok then add(out, at, "must be %s %s, not %s", words, limit, shown(value)) end
  end
  local above, below = s.exclusiveMinimum, s.exclusiveMaximum
  must(not s.minimum or value >= s.minimum, "at least", s.minimum)
  must(not s.maximum or value <= s.maximum, "at most", s.maximum)
  must(not above or value > above, "above", above)
  must(not below or value < below, "below", below)
end

local function check_size(least, most, size, what, at, out)
  if least and size < least then
    add(out, at, "must have at least %s %s, not %d", least, what, size)
  end
  if most and size > most then add(out, at, "must have at most %s %s, not %d", most, what, size) end
end

local function check_list(s, value, at, out)
  check_size(s.minItems, s.maxItems, #value, "items", at, out)
  if s.items == nil then return end
  for i, item in ipairs(value) do check(s.items, item, ("%s[%d]"):format(at, i - 1), out) end
end

local function check_object(s, value, at, out)
  local known = s.properties or {}
  local function inside(name) return at == "" and name or at .. "." .. name end
  for _, name in ipairs(s.required or {}) do
    if value[name] == nil and not takes_null(known[name]) then
      add(out, inside(name), "is missing")
    end
  end
  for name, item in pairs(value) do
    name = tostring(name)
    if known[name] ~= nil then
      check(known[name], item, inside(name), out)
    elseif s.additionalProperties == false then
      add(out, inside(name), "is not known (known: %s)", errors.list(known))
    elseif s.additionalProperties ~= nil then
      check(s.additionalProperties, item, inside(name), out)
    end
  end
end

-- How many of several schemas it fits, and why not the others.
local function count_fits(list, value, at)
  local n, why = 0, {}
  for _, s in ipairs(list) do
    local found = {}
    check(s, value, at, found)
    if #found == 0 then n = n + 1 else why[#why + 1] = found[1] end
  end
  return n, table.concat(why, ", or ")
end

local function check_combined(s, value, at, out)
  for _, one in ipairs(s.allOf or {}) do check(one, value, at, out) end
  for _, word in ipairs { "anyOf", "oneOf" } do
    if s[word] then
      local n, why = count_fits(s[word], value, at)
      if n == 0 then
        add(out, at, "fits nothing of %s: %s", word, why)
      elseif n > 1 and word == "oneOf" then
        add(out, at, "must fit one of oneOf, and fits %d", n)
      end
    end
  end
end

function check(s, value, at, out)
  if s == true or type(s) == "table" and s.nullable and value == json.null then return end
  if s == false then return add(out, at, "must not be given") end
  if s.type and not type_fits(s.type, value) then
    local wanted = type(s.type) == "table" and table.concat(s.type, " or ") or s.type
    return add(out, at, "must be of type %s, not %s", wanted, shown(value))
  end
  check_values(s, value, at, out)
  if type(value) == "number" then
    check_number(s, value, at, out)
  elseif type(value) == "string" then
    check_size(s.minLength, s.maxLength, utf8.len(value) or #value, "characters", at, out)
  elseif is_list(value) then
    check_list(s, value, at, out)
  elseif type(value) == "table" then
    check_object(s, value, at, out)
  end
  check_combined(s, value, at, out)
end

--- What is wrong with a value, in the words of its JSON: `stops[0].days must be of type
--- integer, not "two"` (places in lists count from 0). A field that is null may be absent.
---@param prepared table what schema.prepare gave
---@param value any decoded JSON
---@return table list of texts, empty where it fits
function schema.problems(prepared, value)
  local out = {}
  check(prepared, value, "", out)
  table.sort(out)
  return out
end

return schema
