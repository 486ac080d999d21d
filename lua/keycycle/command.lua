--- The arguments of the built-in commands.
local command = {}

-- Says what is wrong, and how it is right.
local function refuse(usage, fmt, ...)
  local name = usage:match "^usage: (keycycle %S+)" or "keycycle"
  io.stderr:write(name, ": ", fmt:format(...), "\n", usage, "\n")
  return nil, 2
end

--- Reads the arguments of a command. Where that ends it, for help was asked for or they
--- are wrong, it has said so.
---@param args string[]
---@param usage string begins with "usage: keycycle NAME"; without a line's end
---@param known? table names of options that take a value: `{ db = true }`
---@param most? integer words beside the options; nil: any number
---@return table? options, string[]|integer words or, with nil, the exit code
function command.read(args, usage, known, most)
  local options, words, i = {}, {}, 1
  while args[i] do
    local name = args[i]:match "^%-%-([%w-]+)$"
    if name == "help" then
      print(usage)
      return nil, 0
    elseif name and known and known[name] then
      i = i + 1
      if not args[i] then return refuse(usage, "--%s needs a value", name) end
      options[name] = args[i]
    elseif args[i]:find "^%-" then
      return refuse(usage, "unknown option %s", args[i])
    else
      words[#words + 1] = args[i]
    end
    i = i + 1
  end
  if most and #words > most then return refuse(usage, "too many arguments: %s", words[most + 1]) end
  return options, words
end

return command
