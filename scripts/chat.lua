--- keycycle chat: a streamed conversation with any provider; keys rotate underneath.
local keycycle = require "keycycle"
local collect = require "keycycle.protocol.collect"
local command = require "keycycle.command"
local host = require "keycycle.host"
local printer = require "keycycle.agent.printer"
local report = require "keycycle.report"

local usage = [[
usage: keycycle chat [--provider NAME] [--model MODEL] [--base-url URL] [--system TEXT]
  --provider   whom to talk to (default: the provider whose keys are set)
  --model      one of its models (default: what a variable such as GROQ_MODEL says; of
               openai gpt-4o-mini)
  --base-url   another server that speaks as the provider does
  --system     what the model is told before the first message]]

local options, code = command.read(arg, usage, { provider = true, model = true,
  ["base-url"] = true, system = true }, 0)
if not options then return code end
local name, config = command.provider(options, usage)
if not name then return config end

local wrapper <close> = keycycle.MultiClientWrapper.from_env { [name] = config }
local manager = wrapper:get_manager(name)
local model = wrapper:get_model(name)
local terminal = report.style().terminal
local messages = { options.system and { role = "system", content = options.system } }

--- One turn: the answer is printed as it comes. What fails leaves the conversation as it
--- was; so does Ctrl-C. Any other signal ends the program: false.
local function say(text)
  messages[#messages + 1] = { role = "user", content = text }
  local ok, err = pcall(function()
    local stream <close> = model:invoke_stream(messages)
    for piece in stream do
      io.write(terminal and printer.harmless(piece) or piece)
      io.flush()
    end
    messages[#messages + 1] = collect.message(stream:response())
  end)
  print()
  if ok then return true end
  messages[#messages] = nil
  io.stderr:write(printer.harmless(tostring(err)), "\n")
  local signal = host.interrupted()
  return signal == nil or signal == "SIGINT"
end

local help = "/model [NAME] shows or changes the model; /keys, /stats, /help, /quit"
local commands = {
  help = function() print(help) end,
  model = function(id)
    if id then model = wrapper:get_model(name, { id = id }) end
    print(name .. " " .. model.id)
  end,
  keys = function()
    local lines = {}
    for i, key in ipairs(manager:keys()) do
      lines[i] = { tostring(key.index), key.suffix, key.state, key.reason or "" }
    end
    report.table({ "key", "ends", "state", "reason" }, lines)
  end,
  stats = function() report.print(manager, { model = model.id }) end,
}

print(("%s %s; %s"):format(name, model.id, help))
while true do
  io.write "> "
  io.flush()
  local ok, line = pcall(io.read, "l") -- Ctrl-C ends it as the end of the input does
  if not ok or not line then break end
  local word, rest = line:match "^/(%S*)%s*(.-)%s*$"
  if word == "quit" then return end
  if commands[word] then
    commands[word](rest ~= "" and rest or nil)
  elseif word then
    print("there is no /" .. word .. "; " .. help)
  elseif line:find "%S" and not say(line) then
    break
  end
end
print()
