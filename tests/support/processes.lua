--- Programs that a spec or a proof starts, listens to line by line, and kills.
local proc = require "tests.support.proc"

local processes = {}

processes.SIGKILL, processes.SIGTERM, processes.SIGCONT, processes.SIGSTOP = 9, 15, 18, 19

local LONG = 60 -- seconds that a program may take to end by itself

local methods = {}
local process_mt = { __index = methods }

--- Starts a program. It is to be closed, which kills it; it dies with us, too.
---@return table process `{ pid }`
function processes.start(...)
  local pid, from, to = proc.spawn(...)
  return setmetatable({ pid = pid, from = from, to = to, rest = "" }, process_mt)
end

--- Starts a Lua script, or a command of that name, in the host.
function processes.lua(path, ...)
  return processes.start((os.getenv "KEYCYCLE_BUILD" or "build") .. "/keycycle", path, ...)
end

--- Starts `keycycle mock` on a free port: its `url` is the base_url.
function processes.mock(...)
  local self = processes.lua("mock", "--port", "0", ...)
  self:listen(proc.mono() + LONG, function(line)
    self.url = line:match "(http://%S+) %("
    return true
  end)
  assert(self.url, "the mock did not start")
  self.root = self.url:match "^http://[^/]+"
  return self
end

-- The lines in what has come; the start of a line waits for its end.
local function split(self, text, fn)
  text = self.rest .. text
  local from = 1
  while true do
    local newline = text:find("\n", from, true)
    if not newline then break end
    fn(text:sub(from, newline - 1))
    from = newline + 1
  end
  self.rest = text:sub(from)
end

--- Calls `fn` with each line that comes until proc.mono() is `moment`, or fn returns
--- true. Returns false where the program has closed its output.
function methods:listen(moment, fn)
  local stop = false
  local function each(line) stop = fn(line) or stop end
  repeat
    local left = moment - proc.mono()
    local text = proc.read(self.from, math.max(0, left))
    if not text then return false end
    split(self, text, each)
  until stop or text == "" and proc.mono() >= moment
  return true
end

--- The rest of the lines, and how it ended: "exit" or "signal", and the number. After so
--- many seconds (default 60) it is killed.
function methods:finish(fn, seconds)
  local moment = proc.mono() + (seconds or LONG)
  while self:listen(moment, fn or function() end) do
    if proc.mono() >= moment then self:kill(processes.SIGKILL) end
  end
  return self:wait()
end

--- The next line, or nil where none comes within `seconds`.
function methods:line(seconds)
  local found
  self:listen(proc.mono() + seconds, function(line)
    found = found and error("a second line at once: " .. line) or line
    return true
  end)
  return found
end

--- Tells it a line.
function methods:tell(line)
  return proc.write(self.to, line .. "\n")
end

function methods:kill(signal)
  return self.pid and proc.kill(self.pid, signal)
end

--- Waits for its end: "exit" or "signal", and the number. Then `cpu` tells how many seconds
--- of CPU time it took, `kib` how much memory at most.
function methods:wait()
  local how, number, cpu, kib = proc.wait(self.pid)
  self.pid, self.cpu, self.kib = nil, cpu, kib
  proc.close(self.from)
  proc.close(self.to)
  return how, number
end

--- A line of /proc/PID/status in KiB: "VmRSS", "VmHWM".
function methods:memory(name)
  local file <close> = assert(io.open(("/proc/%d/status"):format(self.pid)))
  return tonumber(file:read "a":match(name .. ":%s*(%d+)"))
end

--- Kills it where it lives still. Idempotent.
function methods:close()
  if not self.pid then return end
  self:kill(processes.SIGKILL)
  self:wait()
end
process_mt.__close = methods.close

return processes
