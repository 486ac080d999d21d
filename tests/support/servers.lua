--- Real servers for specs, on loopback, each stopped by its own pid.
local servers = {}

servers.build = os.getenv "KEYCYCLE_BUILD" or "build"

--- Starts `command`, whose first line must match `pattern` with the captures
--- (what it names, pid).
local function start(command, pattern)
  local pipe = assert(io.popen("exec " .. command))
  local line = pipe:read "l" or "nothing"
  local found, pid = line:match(pattern)
  assert(pid, command .. " printed: " .. line)
  local server = { pid = pid }
  function server.stop()
    if not pipe then return end
    os.execute("kill " .. pid .. " 2>/dev/null")
    pipe:close()
    pipe = nil
  end
  return server, found
end

--- The raw server of byte-level faults: `server.url "/cut-in-body"`.
function servers.raw()
  local server, port = start(servers.build .. "/tests/support/rawserver",
    "port (%d+) pid (%d+)")
  server.port = port
  function server.url(path) return "http://127.0.0.1:" .. port .. path end
  return server
end

--- `keycycle mock` with further options; `server.url` is its base_url.
function servers.mock(options)
  local server, url = start(
    servers.build .. "/keycycle mock --port 0 " .. options .. " 2>&1",
    "(http://%S+) %(pid (%d+)%)")
  server.url = url
  server.root = url:gsub("/v1$", "")
  return server
end

return servers
