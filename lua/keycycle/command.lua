--- The arguments of the built-in commands, and the provider that they talk to.
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local limit_table = require "keycycle.limit.table"
local provider = require "keycycle.provider"

local command = {}

local MOST_NAMED = 6 -- models in a message
local MOST_COUNTED = 10000

-- Models that are used where nobody names one; a list of them all would soon be wrong.
local models = { openai = "gpt-4o-mini" }

--- Says on standard error what is wrong, and how it is right.
---@param usage string as of command.read
---@return nil, integer code for bad usage
function command.refuse(usage, fmt, ...)
  local name = usage:match "^usage: (keycycle %S+)" or "keycycle"
  io.stderr:write(name, ": ", fmt:format(...), "\n", usage, "\n")
  return nil, 2
end

local refuse = command.refuse

-- The value of an option as its kind wants it; nil and what is wrong.
local function value_of(kind, name, text)
  if not text then return nil, ("--%s needs a value"):format(name) end
  if kind ~= "count" then return text end
  local n = math.tointeger(tonumber(text))
  if n and n > 0 and n <= MOST_COUNTED then return n end
  return nil, ("--%s is a whole number from 1 to %d, not %s"):format(name, MOST_COUNTED, text)
end

--- The name of an option and, of "--name=value", its value; nil: it is none.
---@param text string an argument
---@return string? name, string? value
function command.option(text)
  local name, equals, value = text:match "^%-%-([%w-]+)(=?)(.*)$"
  if equals == "" and value ~= "" then return nil end
  return name, equals == "=" and value or nil
end

--- Reads the arguments of a command. Where that ends it, for help was asked for or they
--- are wrong, it has said so.
---@param args string[]
---@param usage string begins with "usage: keycycle NAME"; without a line's end
---@param known? table names of options and what they take: a value (true), a number from
--- 1 to 10000 ("count"), nothing ("flag")
---@param most? integer words beside the options; nil: any number
---@return table? options, string[]|integer words or, with nil, the exit code
function command.read(args, usage, known, most)
  local options, words, i = {}, {}, 1
  while args[i] do
    local name, attached = command.option(args[i])
    local kind = name and known and known[name]
    if args[i] == "--" then
      table.move(args, i + 1, #args, #words + 1, words)
      break
    elseif args[i] == "--help" or args[i] == "-h" then
      print(usage)
      return nil, 0
    elseif kind == "flag" and not attached then
      options[name] = true
    elseif kind and kind ~= "flag" then
      local why
      if not attached then i = i + 1 end
      options[name], why = value_of(kind, name, attached or args[i])
      if why then return refuse(usage, "%s", why) end
    elseif args[i]:find "^%-." then
      return refuse(usage, "unknown option %s", args[i])
    else
      words[#words + 1] = args[i]
    end
    i = i + 1
  end
  if most and #words > most then return refuse(usage, "too many arguments: %s", words[most + 1]) end
  return options, words
end

local function prefix_of(name)
  return provider.env_prefix(provider.get(name) or { name = name })
end

-- The providers whose keys are set; of those that have the same keys the first.
local function with_keys()
  local names, seen = {}, {}
  for _, name in ipairs(provider.names()) do
    local keys, err = errors.try(config.load_api_keys, name)
    local set = keys and keys[1].label ~= "no key" or not keys and err.code ~= "no_keys"
    if set and not seen[prefix_of(name)] then
      names[#names + 1], seen[prefix_of(name)] = name, true
    end
  end
  return names
end

-- Names of models that the provider's table of limits has.
local function known_models(name)
  local level, names = limit_table.of(name, provider.get(name)).base, {}
  for model in pairs(level and type(level.by_model) == "table" and level.by_model or {}) do
    if model ~= "default" and not model:find("*", 1, true) then names[#names + 1] = model end
  end
  if #names == 0 then return "" end
  table.sort(names)
  return "; some are " .. table.concat(names, ", ", 1, math.min(#names, MOST_NAMED))
end

--- The provider and the model that a command talks to. The provider is what --provider
--- says, else the one that has keys; the model what --model says, else a variable such
--- as OPENAI_MODEL, in the environment or in .env. Where that is not enough, it has said so.
---@param options table provider, model, base-url
---@param usage string as of command.read
---@return string? name, table|integer configuration or, with nil, the exit code
function command.provider(options, usage)
  local name = options.provider
  if not name then
    local names = with_keys()
    if #names == 0 then
      io.stderr:write(usage:match "^usage: (keycycle %S+)",
        ": no keys are set for any provider (see keycycle providers)\n")
      return nil, 1
    elseif #names > 1 then
      return refuse(usage, "--provider is needed: %s have keys", table.concat(names, ", "))
    end
    name = names[1]
  end
  local variable = prefix_of(name) .. "_MODEL"
  local model = options.model or config.environment()(variable) or models[name]
  if not model and not options["base-url"] and not provider.get(name) then
    return refuse(usage, "unknown provider %s (see keycycle providers); any other "
      .. "OpenAI-compatible server needs --base-url", name)
  elseif not model then
    return refuse(usage, "which model of %s? --model says, or %s%s", name, variable,
      known_models(name))
  end
  return name, { default_model = model, base_url = options["base-url"] }
end

return command
