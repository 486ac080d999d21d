--- Values as a prompt shows them: a table by what is in it, not by its address.
---
--- Objects (tables with a metatable) are shown as `tostring` has them. No key is shown.
local entry = require "keycycle.entry"
local printer = require "keycycle.agent.printer"

local MOST_LINES, DEEPEST, MOST_BYTES = 200, 6, 500
local HIDDEN = "***"
local words = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat "
  .. "return then true until while"):gmatch "%a+" do
  words[word] = true
end

local function quoted(text)
  if #text > MOST_BYTES then
    return ("%q"):format(printer.harmless(text:sub(1, utf8.offset(text, 0, MOST_BYTES) - 1)))
      .. ("… (%d bytes)"):format(#text)
  end
  return (("%q"):format(printer.harmless(text)):gsub("\\\n", "\\n"))
end

local function name_of(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not words[key] then return key end
  return "[" .. (type(key) == "string" and quoted(key) or tostring(key)) .. "]"
end

local function is_plain(value)
  return type(value) == "table" and getmetatable(value) == nil
end

-- Texts by the alphabet, numbers by size, the rest at the end.
local function before(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
  return type(a) < type(b)
end

local function keys_of(t)
  local keys = {}
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 or key > #t then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

local write

local function write_field(out, name, value, depth, secret)
  local from = #out + 1
  write(out, secret and type(value) == "string" and HIDDEN or value, depth)
  out[from] = ("  "):rep(depth) .. name .. (out[from] or "")
  out[#out] = out[#out] .. ","
end

--- Adds the lines of a value; the first has no indent.
function write(out, value, depth)
  if type(value) == "string" then
    out[#out + 1] = quoted(value)
  elseif not is_plain(value) then
    out[#out + 1] = printer.harmless(tostring(value))
  elseif next(value) == nil then
    out[#out + 1] = "{}"
  elseif out.above[value] or depth >= DEEPEST then
    out[#out + 1] = "{ … }"
  else
    out.above[value] = true
    out[#out + 1] = "{"
    for i = 1, #value do
      if #out > MOST_LINES then break end
      write_field(out, "", value[i], depth + 1)
    end
    for _, key in ipairs(keys_of(value)) do
      if #out > MOST_LINES then break end
      write_field(out, name_of(key) .. " = ", value[key], depth + 1, key == "api_key")
    end
    if #out > MOST_LINES then out[#out + 1] = ("  "):rep(depth + 1) .. "…" end
    out[#out + 1] = ("  "):rep(depth) .. "}"
    out.above[value] = nil
  end
end

--- What a prompt prints for a table; anything else is as `tostring` has it.
---@param value any
---@return string
return function(value)
  if not is_plain(value) then return tostring(value) end
  local out = { above = {} }
  write(out, value, 0)
  return entry.hide_keys(table.concat(out, "\n"))
end
