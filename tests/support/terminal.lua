--- A program on a terminal of its own: what a person there types and sees.
local proc = require "tests.support.proc"

local terminal = {}

local PASTE = "\27%[%?2004%a\r?" -- readline's, around each line: how a paste is marked
local LONG = 60 -- seconds that anything may take

local methods = {}
local terminal_mt = { __index = methods }

--- Starts a program. It is to be closed, which kills it; it dies with us, too.
function terminal.start(...)
  local pid, fd = proc.terminal(...)
  return setmetatable({ pid = pid, fd = fd, seen = "", from = 1 }, terminal_mt)
end

--- Types it as it is: "\3" is Ctrl-C, "\r" the return key.
function methods:type(text)
  assert(proc.write(self.fd, text))
end

-- Reads what comes; false where nothing does any more.
local function hear(self)
  local text = proc.read(self.fd, 1)
  self.seen = (self.seen .. (text or "")):gsub(PASTE, "")
  return text ~= nil
end

--- Waits until it shows this, after what was waited for before: all between the two.
---@param text string
function methods:expect(text)
  local moment = proc.mono() + LONG
  while true do
    local from, to = self.seen:find(text, self.from, true)
    if from then
      local between = self.seen:sub(self.from, from - 1)
      self.from = to + 1
      return between
    end
    if not hear(self) or proc.mono() > moment then
      error(("it never shows %q, but %q"):format(text, self.seen:sub(self.from)), 2)
    end
  end
end

--- Waits for its end: the rest of what it shows, "exit" or "signal", and the number.
function methods:finish()
  local moment = proc.mono() + LONG
  while hear(self) do
    if proc.mono() > moment then proc.kill(self.pid, 9) end
  end
  local how, number = proc.wait(self.pid)
  proc.close(self.fd)
  self.pid = nil
  return self.seen:sub(self.from), how, number
end

--- Kills it where it lives still. Idempotent.
function methods:close()
  if not self.pid then return end
  proc.kill(self.pid, 9)
  self:finish()
end
terminal_mt.__close = methods.close

return terminal
