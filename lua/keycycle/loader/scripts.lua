--- The scripts in force: those of the program's folders, then the built-in ones.
local builtin = require "keycycle.loader.builtin"

local scripts = {}

local added = { provider = {}, policy = {}, limits = {} }
local sources = { provider = {}, policy = {}, limits = {} }

--- What the script of that kind and name defines, or nil.
---@param kind "provider"|"policy"|"limits"
---@param name string
function scripts.get(kind, name)
  local own = added[kind][name]
  if own ~= nil then return own end
  return builtin.get(kind, name)
end

--- The same of the program's folders alone.
function scripts.own(kind, name)
  return added[kind][name]
end

--- The file it comes from; nil for a built-in one.
function scripts.source(kind, name)
  return sources[kind][name]
end

--- Names of all of a kind, sorted.
---@return string[]
function scripts.names(kind)
  local names = builtin.names(kind)
  local seen = {}
  for _, name in ipairs(names) do seen[name] = true end
  for name in pairs(added[kind]) do
    if not seen[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- Puts what the program's folders define in place of what they defined before.
---@param all table by kind and name
---@param files? table the files, by kind and name
function scripts.replace(all, files)
  added, sources = all, files or { provider = {}, policy = {}, limits = {} }
end

return scripts
