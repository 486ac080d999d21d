--- The small programs of tests/hosts, built beside the library and, sanitized, again.
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local hosts = {}

--- The build folders that hold them. KEYCYCLE_HOSTS names another one.
hosts.builds = { os.getenv "KEYCYCLE_HOSTS" or servers.build }
local sanitized = io.open(hosts.builds[1] .. "/asan/tests/hosts/frame")
if sanitized then
  sanitized:close()
  hosts.builds[2] = servers.build .. "/asan"
end

--- How many bytes a process may have more of after as much work again: what is kept of
--- each round, were it a pointer, comes to more.
hosts.SLACK = 512

--- Runs a shell command: what it printed, both streams, and its exit code.
function hosts.sh(command, ...)
  local pipe <close> = assert(io.popen("{ " .. command:format(...) .. "; } 2>&1; echo \"rc=$?\""))
  local text, rc = pipe:read "a":match "^(.-)rc=(%d+)\n$"
  return text, tonumber(rc)
end

--- Runs a program of tests/hosts that must end with 0: its `name value unit` lines as a
--- table of numbers, and all that it printed.
---@param build string the folder
---@param command string the program and its arguments, a format for what follows
function hosts.figures(build, command, ...)
  -- Without its cache malloc knows what is free.
  local text, rc = hosts.sh("GLIBC_TUNABLES=glibc.malloc.tcache_count=0 timeout 300 "
    .. "%s/tests/hosts/%s", build, command:format(...))
  if rc ~= 0 then error(("%s: %s\nrc=%d"):format(command, text, rc)) end
  local figures = {}
  for name, value in text:gmatch "([%w_]+) (%-?[%d.]+) %S+\n" do figures[name] = tonumber(value) end
  return figures, text
end

--- Asks over and over until `fn` gives true; tasks go on meanwhile.
---@param what string what is waited for: an error names it after a minute
function hosts.wait(what, fn)
  local stop_at = keycycle.clock.now() + 60
  while not fn() do
    assert(keycycle.clock.now() < stop_at, "waited in vain for " .. what)
    keycycle.step(0.002)
  end
end

return hosts
