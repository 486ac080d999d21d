--- The annotations for editors as specs compare them with the module.
local annotations = require "lua.docs.annotations"

local meta = {}

--- The annotations of the public module, file by file.
function meta.files()
  return annotations.of_module "lua/keycycle/meta"
end

meta.classes = annotations.classes(meta.files())

--- What is annotated of a class, with those above it, by name.
function meta.members(class)
  return annotations.members(meta.classes, class)
end

--- The names of a class's members of one kind (nil: of all), sorted.
---@param class string
---@param kind? "function"|"field"|"value"
function meta.names(class, kind)
  local list = {}
  for name, member in pairs(meta.members(class)) do
    if not kind or member.kind == kind then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- The keys of a table that are texts, sorted; of its functions only, where that is asked.
function meta.keys(given, functions_only)
  local list = {}
  for name, value in pairs(given) do
    if type(name) == "string" and (not functions_only or type(value) == "function") then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

--- Whether a type as it is annotated is a function's.
function meta.is_function(kind)
  return kind == "function" or kind:find "^fun%(" ~= nil
end

--- The paths that a client of this class has: "chat.completions.create".
function meta.paths(class, prefix, list)
  list = list or {}
  for name, member in pairs(meta.members(class)) do
    local path = (prefix or "") .. name
    if member.kind == "function" then
      list[#list + 1] = path
    else
      meta.paths(member.type, path .. ".", list)
    end
  end
  table.sort(list)
  return list
end

return meta
