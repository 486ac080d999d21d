--- The server of the benches over https, and how a client reaches it: on a machine with
--- two cores each has one alone.
local shell = require "shell"

local tls = { KEY = "sk-bench-0001-0123456789abcdef",
  CONTENT = ("All work and no play makes a dull benchmark. "):rep(20) }

local OPENSSL = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
  .. "-days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
  .. "2>/dev/null"

local function pin(core)
  local two = shell.output "nproc":match "%d+" ~= "1"
  return two and ("taskset -c %d "):format(core) or ""
end

--- Makes the certificate that the servers show.
---@param build string the folder
function tls.certify(build)
  shell.output(OPENSSL:format(build .. "/tests/bench/server.key",
    build .. "/tests/bench/server.crt"))
end

--- Starts server.c; it is to be closed.
---@param build string the folder
---@param how? string "close": each answer is the last one of its connection
function tls.server(build, how)
  return shell.server(("%s%s/tests/bench/server %s/tests/bench/server.crt "
    .. "%s/tests/bench/server.key %s"):format(pin(1), build, build, build, how or ""))
end

--- What goes before the command of a client of theirs.
---@param build string the folder
---@return string words
function tls.client(build)
  return ("SSL_CERT_FILE=%s/tests/bench/server.crt %s"):format(build, pin(0))
end

return tls
