--- keycycle chat: a streamed conversation; keys rotate underneath.
--- usage: keycycle chat [--provider NAME] [--model MODEL] [--base-url URL]
local keycycle = require "keycycle"
local report = require "keycycle.report"

local options = { provider = "openai" }
local known = { ["--provider"] = "provider", ["--model"] = "model", ["--base-url"] = "base_url" }
local default_models = { openai = "gpt-4o-mini", groq = "llama-3.3-70b-versatile" }

for i = 1, #arg, 2 do
  local name = known[arg[i]]
  if not name or not arg[i + 1] then
    io.stderr:write "usage: keycycle chat [--provider NAME] [--model MODEL] [--base-url URL]\n"
    return 2
  end
  options[name] = arg[i + 1]
end

local wrapper <close> = keycycle.MultiClientWrapper.from_env {
  [options.provider] = {
    default_model = options.model or default_models[options.provider],
    base_url = options.base_url,
  },
}
local client = wrapper:get_rotating_client(options.provider)
local manager = wrapper:get_manager(options.provider)
local messages = {}

--- One turn: prints the answer as it comes and keeps it in the history.
local function say(text)
  messages[#messages + 1] = { role = "user", content = text }
  local parts = {}
  local ok, err = pcall(function()
    for chunk in client.chat.completions:create {
      stream = true, stream_options = { include_usage = true }, messages = messages,
    } do
      local choice = chunk.choices[1]
      local piece = choice and choice.delta.content or ""
      parts[#parts + 1] = piece
      io.write(piece)
      io.flush()
    end
  end)
  print()
  if ok then
    messages[#messages + 1] = { role = "assistant", content = table.concat(parts) }
  else
    messages[#messages] = nil
    io.stderr:write(tostring(err), "\n")
  end
end

local commands = {
  ["/keys"] = function()
    for _, key in ipairs(manager:keys()) do
      print(key.index, key.suffix, key.state, key.reason or "")
    end
  end,
  ["/stats"] = function() report.print(manager) end,
}

print "Type a message; /keys, /stats, /quit."
while true do
  io.write "> "
  io.flush()
  local line = io.read "l"
  if not line or line == "/quit" then break end
  if commands[line] then
    commands[line]()
  elseif line:find "%S" then
    say(line)
  end
end
