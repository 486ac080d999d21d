--- Makes what LDoc reads of the annotations and the pages: `lua5.4 pages.lua FOLDER`, from the
--- project's folder. LDoc has comments of another form; see annotations.lua for ours.
package.path = "./?.lua;" .. package.path
local annotations = require "lua.docs.annotations"

local ANNOTATIONS = "lua/keycycle/meta"

-- The pages, and the name that each has here.
local topics = { { "README.md", "overview" }, { "src/README.md", "embedding" },
  { "lua/keycycle/providers/README.md", "adapters" } }
local HEADER = "src/keycycle.h"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

local function short(name)
  return (name:gsub("^keycycle%.", ""))
end

-- Which classes of a file have functions: these are LDoc's classes, the others its tables.
local function has_functions(file)
  local has = {}
  for _, item in ipairs(file.items) do
    if item.of and not item.private then has[item.of] = true end
  end
  return has
end

-- Where each type is described ("manager.html#Class_Lease"), and by what name programs reach
-- the tables of functions ("keycycle.clock").
local function index(files)
  local places, owners = {}, { keycycle = "keycycle" }
  for _, file in ipairs(files) do
    local has = has_functions(file)
    for _, item in ipairs(file.items) do
      local name = item.class and item.class.name or item.kind == "alias" and item.name
      if name and name ~= "keycycle" then
        local mark = short(name)
        if has[name] then
          mark = "Class_" .. mark:gsub("%W", "_")
        else -- LDoc leaves the module's name out
          mark = mark:match("^" .. file.name .. "%.(%w+)$") or mark
        end
        places[name] = ("%s.html#%s"):format(file.name, mark)
      end
      if item.kind == "value" and item.of == "keycycle" and item.type then
        owners[item.type] = "keycycle." .. item.name
      elseif item.kind == "global" then
        owners[item.type] = item.name
      end
    end
  end
  return places, owners
end

-- Quotes too, which Markdown would bend.
local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

-- A type as text with links to those that have a place.
local function linked(kind, places)
  local text = kind:gsub("[&<>\"]", entities)
  text = text:gsub("[*_]", "\\%0")
  return (text:gsub("keycycle%.[%w.\\_]+", function(name)
    local plain = name:gsub("\\", "")
    if not places[plain] then return short(name) end
    return ("<a href=\"%s\">%s</a>"):format(places[plain], short(name))
  end))
end

local function words(item, places)
  local parts = { linked(item.type, places) }
  if item.optional then parts[#parts + 1] = "optional" end
  local text = "(" .. table.concat(parts, ", ") .. ")"
  return item.text ~= "" and text .. " " .. item.text or text
end

local function comment(out, text)
  local mark = "---"
  for line in (text .. "\n"):gmatch "(.-)\n" do
    out[#out + 1] = line ~= "" and mark .. " " .. line or mark
    mark = "--"
  end
end

-- Classes of fields, and aliases, are tables of LDoc's.
local function add_fields(out, item, places)
  local class = item.class
  local text = item.text ~= "" and item.text or ("`%s`."):format(short(class.name))
  if #class.parents > 0 then
    local parents = {}
    for i, parent in ipairs(class.parents) do parents[i] = linked(parent, places) end
    text = text .. "\n\nHas what these have, too: " .. table.concat(parents, ", ") .. "."
  end
  comment(out, text)
  out[#out + 1] = "-- @table " .. short(class.name)
  for _, field in ipairs(class.fields) do
    local name = field.name:gsub("%[%w+%]", "…")
    out[#out + 1] = ("-- @field %s %s"):format(name, words(field, places))
  end
  out[#out + 1] = ""
end

local function add_alias(out, item, places)
  comment(out, item.text ~= "" and item.text or ("`%s`: one of these."):format(short(item.name)))
  out[#out + 1] = "--"
  if item.alias.type ~= "" then out[#out + 1] = "-- " .. linked(item.alias.type, places) end
  for _, value in ipairs(item.alias.values) do
    local what = value.value:find '^"' and "`" .. value.value .. "`" or linked(value.value, places)
    out[#out + 1] = ("-- * %s %s"):format(what, value.text)
  end
  out[#out + 1] = "-- @table " .. short(item.name)
  out[#out + 1] = ""
end

local function add_function(out, item, owner, places)
  local text = item.text ~= "" and item.text or ("`%s`."):format(item.name)
  if #item.overloads > 0 then
    text = text .. "\n\nAlso:\n"
    for _, overload in ipairs(item.overloads) do
      text = text .. "\n* " .. linked(overload, places)
    end
  end
  comment(out, text)
  for _, param in ipairs(item.params) do
    out[#out + 1] = ("-- @param %s %s"):format(param.name, words(param, places))
  end
  for _, result in ipairs(item.returns) do
    out[#out + 1] = "-- @return " .. words(result, places)
  end
  out[#out + 1] = ("function %s%s%s(%s) end"):format(owner, item.method and ":" or ".", item.name,
    item.arguments)
  out[#out + 1] = ""
end

local function add_value(out, item, owner, places)
  comment(out, (item.text ~= "" and item.text or ("`%s`."):format(item.name)) .. "\n\n"
    .. linked(item.type or "", places))
  out[#out + 1] = ("-- @field %s"):format(item.name)
  out[#out + 1] = ("%s.%s = nil"):format(owner, item.name)
  out[#out + 1] = ""
end

local function add_section(out, item, places)
  local class = item.class
  local name = short(class.name)
  local text = item.text ~= "" and item.text or ("`%s`."):format(name)
  if #class.fields > 0 then text = text .. "\n\nFields:\n" end
  for _, field in ipairs(class.fields) do
    text = ("%s\n* `%s` %s"):format(text, field.name, words(field, places))
  end
  comment(out, text)
  out[#out + 1] = "-- @type " .. name
  out[#out + 1] = ""
end

-- What belongs to no class of LDoc's: it must stand before the first one.
local function add_plain(out, item, has, owner, places)
  if item.kind == "class" and not has[item.class.name] then
    add_fields(out, item, places)
  elseif item.kind == "alias" then
    add_alias(out, item, places)
  elseif item.kind == "function" and owner == "keycycle" then
    add_function(out, item, owner, places)
  elseif item.kind == "value" then
    add_value(out, item, owner, places)
  end
end

--- One file of annotations as LDoc reads it.
local function module_of(file, places, owners)
  local out, has = {}, has_functions(file)
  comment(out, file.text)
  out[#out + 1] = "-- @module " .. file.name
  out[#out + 1] = ""
  for _, item in ipairs(file.items) do add_plain(out, item, has, item.of, places) end
  for _, item in ipairs(file.items) do
    if item.kind == "class" and has[item.name] and item.name ~= "keycycle" then
      add_section(out, item, places)
    elseif item.kind == "function" and item.of ~= "keycycle" and not item.private then
      add_function(out, item, owners[item.of] or short(item.of), places)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

-- Links between the pages lead to them as they are called here.
local function topic_of(path)
  local text = read(path)
  for _, topic in ipairs(topics) do
    text = text:gsub("%]%([%w_/.]-" .. topic[1]:gsub("%p", "%%%0") .. "%)",
      ("](%s.md.html)"):format(topic[2]))
  end
  return (text:gsub("%]%([%w_/.]-keycycle%.h%)", "](header.md.html)"))
end

local function main(folder)
  local files = annotations.of_module(ANNOTATIONS)
  local places, owners = index(files)
  for _, file in ipairs(files) do
    write(("%s/%s.lua"):format(folder, file.name), module_of(file, places, owners))
  end
  for _, topic in ipairs(topics) do
    write(("%s/%s.md"):format(folder, topic[2]), topic_of(topic[1]))
  end
  write(folder .. "/header.md", "# keycycle.h\n\nThe interface for C, with each function's "
    .. "contract.\n\n```c\n" .. read(HEADER) .. "```\n")
end

main((...))
