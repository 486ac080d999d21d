--- The arguments of a proof: `--name value`, each with a default of the same type.
local flags = {}

--- Reads `arg`. Ends the program with 2 where it holds something else.
---@param defaults table values by name
function flags.read(defaults)
  local values, i = {}, 1
  for name, value in pairs(defaults) do values[name] = value end
  while arg[i] do
    local name, text = arg[i]:match "^%-%-([%w-]+)$", arg[i + 1]
    local value = text
    if type(defaults[name]) == "number" then value = tonumber(text) end
    if not name or defaults[name] == nil or value == nil then
      local names = {}
      for known in pairs(defaults) do names[#names + 1] = "--" .. known end
      table.sort(names)
      io.stderr:write("bad argument ", arg[i], "; known, each with a value: ",
        table.concat(names, " "), "\n")
      os.exit(2)
    end
    values[name], i = value, i + 2
  end
  return values
end

return flags
