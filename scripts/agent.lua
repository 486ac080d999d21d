--- keycycle agent: a model with a few harmless tools; keys rotate between its steps.
local keycycle = require "keycycle"
local arithmetic = require "keycycle.agent.arithmetic"
local command = require "keycycle.command"
local folder = require "keycycle.agent.folder"
local host = require "keycycle.host"
local printer = require "keycycle.agent.printer"

local usage = [[
usage: keycycle agent [options] ["PROMPT"]
  PROMPT   what to do (none: it asks, and remembers, until /quit or the end of the input)
  --provider NAME  --model MODEL  --base-url URL    as of keycycle chat
  --system TEXT    what the model is told instead of the usual
  --max-steps N    calls of the model for one prompt (default 10)
Its tools: the time, a calculator, the names and texts of this folder's files. What it reads
goes to the provider; hidden files and .env are not read.]]

local MOST_BYTES = 20000 -- of a file that is read

local function schema(name, description)
  return { type = "object", required = { name }, additionalProperties = false,
    properties = { [name] = { type = "string", description = description } } }
end

local tools = {
  { name = "time", description = "The date and the time at this moment, with the zone.",
    run = function() return os.date "%A %Y-%m-%d %H:%M:%S %z" end },
  { name = "calculate", description = "The value of an arithmetic expression.",
    parameters = schema("expression", "numbers, + - * / % ^ and brackets"),
    run = function(args) return arithmetic.value(args.expression) end },
  { name = "list_files", description = "The names in the current folder; a folder ends with /.",
    run = function()
      local pipe <close> = assert(io.popen "ls -p")
      return pipe:read(MOST_BYTES) or "the folder is empty"
    end },
  { name = "read_file", description = "The text of a file of the current folder, or its begin.",
    parameters = schema("path", "a path inside the folder"),
    run = function(args) return folder.read(args.path, MOST_BYTES) end },
}

local options, words = command.read(arg, usage, { provider = true, model = true,
  ["base-url"] = true, system = true, ["max-steps"] = "count" }, 1)
if not options then return words end
local name, config = command.provider(options, usage)
if not name then return config end

local wrapper <close> = keycycle.MultiClientWrapper.from_env { [name] = config }
local agent = keycycle.Agent {
  model = wrapper:get_model(name), tools = tools, max_steps = options["max-steps"],
  instructions = options.system or "Answer briefly. Use the tools rather than guess.",
}
if words[1] then agent:print_response(words[1]) return end

print(("%s %s; /quit ends"):format(name, config.default_model))
while true do
  io.write "> "
  io.flush()
  local ok, line = pcall(io.read, "l") -- Ctrl-C ends it as the end of the input does
  if not ok or not line or line == "/quit" then break end
  if line:find "%S" then
    local answered, err = pcall(agent.print_response, agent, line)
    if not answered then io.stderr:write(printer.harmless(tostring(err)), "\n") end
    local signal = host.interrupted() -- Ctrl-C ends the answer alone
    if signal and signal ~= "SIGINT" then break end
  end
end
