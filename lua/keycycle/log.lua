--- Log lines, to standard error unless the program gives a sink.
local log = {}

local ranks = { off = 0, error = 1, warn = 2, info = 3, debug = 4 }
local level = "warn"

local function to_stderr(name, line)
  io.stderr:write("keycycle ", name, ": ", line, "\n")
end

local sink = to_stderr

--- Sets how much is said: "off", "error", "warn" (the default), "info", "debug".
function log.set_level(name)
  if not ranks[name] then
    error("the log level is off, error, warn, info or debug, not " .. tostring(name), 2)
  end
  level = name
end

--- How much is said now.
function log.level()
  return level
end

--- Sends lines to `fn(level, line)`; nil: back to standard error. What the sink
--- raises is swallowed: a log must not end a call.
function log.set_sink(fn)
  sink = fn or to_stderr
end

--- Writes one line; further arguments are formatted into it.
function log.write(name, fmt, ...)
  if ranks[name] > ranks[level] then return end
  local line = select("#", ...) > 0 and fmt:format(...) or fmt
  pcall(sink, name, (line:gsub("%c", " "))) -- what others say makes no lines of its own
end

for name in pairs(ranks) do
  if name ~= "off" then
    log[name] = function(...) log.write(name, ...) end
  end
end

return log
