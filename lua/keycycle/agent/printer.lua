--- Prints the stream of an agent as it comes.
local json = require "keycycle.core".json
local report = require "keycycle.report"

local printer = {}

local MOST_SHOWN = 200 -- bytes of a call, or of its result

--- A text without what gives a terminal orders: others wrote it.
function printer.harmless(text)
  return (text:gsub("[\0-\8\11-\31\127]", ""):gsub("\194[\128-\159]", ""))
end

local function one_line(text)
  text = printer.harmless(text:gsub("%s+", " "))
  if #text <= MOST_SHOWN then return text end
  return text:sub(1, utf8.offset(text, 0, MOST_SHOWN) - 1) .. "…"
end

-- A call before it is made, and what came of it.
local function line_of(call)
  if not call.content then
    return one_line(("%s %s"):format(call.name, call.arguments_text
      or json.encode(call.arguments) or ""))
  end
  return ("  %s (%.1f s)"):format(one_line(call.content), call.seconds)
end

--- Prints it all; a line ends it. Returns the result of the run.
---@param stream table an agent's
---@param out userdata a file; tools are shown where it is the terminal
function printer.print(stream, out)
  local style = report.style()
  local terminal = style.terminal and out == io.stdout
  local fresh = true -- at the begin of a line
  local function put(text)
    if text == "" then return end
    out:write(text)
    out:flush()
    fresh = text:sub(-1) == "\n"
  end
  local function show(call)
    if not fresh then put "\n" end -- what is said before and after it, too
    if not terminal then return end
    put((style.colour and "\27[2m%s\27[0m\n" or "%s\n"):format(line_of(call)))
  end
  for text, chunk in stream do
    put(terminal and printer.harmless(text) or text)
    if chunk.tool then show(chunk.tool) end
  end
  if not fresh then put "\n" end
  return stream:result()
end

return printer
