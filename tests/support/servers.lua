--- Real servers for specs, on loopback, each stopped by its own pid.
local servers = {}

servers.build = os.getenv "KEYCYCLE_BUILD" or "build"

--- Starts `command`, whose first lines must say "pid N" and what `pattern` captures.
local function start(command, pattern)
  local pipe, text = assert(io.popen("exec " .. command)), ""
  local found, pid
  repeat
    local line = pipe:read "L"
    text = text .. (line or "")
    found, pid = text:match(pattern), text:match "pid (%d+)"
  until found and pid or not line
  assert(found and pid, command .. " printed: " .. text)
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
    "port (%d+)")
  server.port = port
  function server.url(path) return "http://127.0.0.1:" .. port .. path end
  return server
end

--- `keycycle mock` with further options; `server.url` is its base_url.
function servers.mock(options)
  local server, url = start(
    servers.build .. "/keycycle mock --port 0 " .. options .. " 2>&1",
    "(http://%S+) %(")
  server.url = url
  server.root = url:match "^http://[^/]+"
  return server
end

--- A server of the tests' own: a Lua script that the host runs and that prints
--- "listening on URL (pid N)".
function servers.script(path)
  local server, url = start(("%s/keycycle %s 2>&1"):format(servers.build, path),
    "listening on (http://%S+) %(")
  server.url = url
  return server
end

--- A server whose answers are a Lua text that returns a function: see canned.lua.
--- `server.journal()` is what reached it; `server.release()` lets streams go on.
function servers.canned(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local server = servers.script("tests/support/canned.lua " .. path)
  os.remove(path)
  local function get(what)
    local http, json = require "keycycle.http", require "keycycle.core".json
    return json.decode(http.request { url = server.url .. what }.body)
  end
  function server.journal() return get "/journal" end
  function server.release() get "/release" end
  return server
end

--- aimock of npm with the fixtures of a folder, and variables of its environment as
--- `NAME=value …`. `server.journal()` is what reached it, `server.forget()` empties
--- that, `server.chaos { dropRate = 0.5 }` sets how often it fails; each takes a key
--- at the end where the server asks for one.
function servers.aimock(fixtures, env)
  local server, url = start(
    ("env %s PEERS=%s/peers sh -c 'echo pid $$; exec $PEERS/node "
      .. "$PEERS/node_modules/.bin/llmock --port 0 --fixtures %s' 2>&1")
      :format(env or "", servers.build, fixtures), "listening on (http://%S+)")
  server.url = url
  local http, json = require "keycycle.http", require "keycycle.core".json
  local function control(method, path, key, body)
    local answer = http.request { method = method, url = url .. "/__aimock" .. path,
      body = body and json.encode(body),
      headers = { authorization = "Bearer " .. (key or "none") } }
    assert(answer.status == 200, answer.body)
    return json.decode(answer.body, { null = "absent" })
  end
  function server.journal(key) return control("GET", "/journal", key) end
  function server.forget(key) control("POST", "/reset/journal", key) end
  function server.chaos(rates, key) control("POST", "/chaos", key, rates) end
  return server
end

--- A port that was free a moment ago.
function servers.free_port()
  local server <close> = assert(require("keycycle.server").open { port = 0 })
  return server:port()
end

local function sh(command, ...)
  local line = command:format(...)
  assert(os.execute(line .. " >/dev/null 2>&1"), line)
end

local function write(path, text)
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
end

local nginx_conf = [[
daemon on; worker_processes 1; pid %s/pid; error_log %s/error.log warn;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;
  uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem;
  ssl_session_cache shared:tls:1m;
  server {
    listen 127.0.0.1:%d ssl http2;
    location /v1/events { alias %s/events; types {} default_type text/event-stream; }
    location / { default_type application/json; return 200
      '{"protocol":"$server_protocol","connection":$connection,
        "choices":[],"usage":{"total_tokens":3}}'; }
  }
  server {
    listen 127.0.0.1:%d ssl; keepalive_timeout 0;
    location / { default_type application/json; return 200
      '{"reused":"$ssl_session_reused","choices":[],"usage":{"total_tokens":3}}'; }
  }
}
]]

--- nginx over TLS with a certificate of its own for `name` (and 127.0.0.1 with
--- `name` "localhost"): `server.cert` is the file, `server.h2` and `server.h1`
--- the ports of HTTP/2 and of HTTP/1.1 without keep-alive. `events` is what GET
--- /v1/events streams.
function servers.tls(name, events)
  local dir = os.tmpname()
  os.remove(dir)
  sh("mkdir -p %s", dir)
  local names = "DNS:" .. name .. (name == "localhost" and ",IP:127.0.0.1" or "")
  sh("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout %s/key.pem -out %s/cert.pem"
    .. " -subj /CN=%s -addext subjectAltName=%s", dir, dir, name, names)
  local server = { cert = dir .. "/cert.pem", h2 = servers.free_port(), h1 = servers.free_port() }
  if events then write(dir .. "/events", events) end
  write(dir .. "/nginx.conf", nginx_conf:gsub("%%s", dir):format(server.h2, server.h1))
  -- It returns once it listens.
  sh("PATH=$PATH:/usr/sbin nginx -p %s -c %s/nginx.conf", dir, dir)
  function server.stop()
    sh("PATH=$PATH:/usr/sbin nginx -p %s -c %s/nginx.conf -s stop", dir, dir)
    sh("rm -rf %s", dir)
  end
  return server
end

--- MariaDB with data of its own (see mariadb.sh): `server.db_url "?ssl=true"` names its
--- database with options. `kill` ends it at once and `again` starts it on the same data
--- and port; between `pause` and `resume` it answers nothing.
function servers.mariadb()
  local dir = os.tmpname()
  os.remove(dir)
  sh("mkdir %s", dir)
  local server, port = { dir = dir }, servers.free_port()
  local running
  function server.again()
    running = start(("tests/support/mariadb.sh %s %d"):format(dir, port),
      "(ready for connections)")
    server.pid = running.pid
  end
  function server.kill()
    os.execute("kill -9 " .. server.pid .. " 2>/dev/null")
    running.stop() -- returns when it has ended
  end
  function server.pause()
    -- Its threads may run a while.
    sh("kill -STOP %s; while grep -qv ') T ' /proc/%s/task/*/stat; do :; done", server.pid,
      server.pid)
  end
  function server.resume() sh("kill -CONT %s", server.pid) end
  function server.stop()
    server.kill()
    sh("rm -rf %s", dir)
  end
  function server.db_url(options)
    return ("mysql://kc:kcpw@127.0.0.1:%d/kc%s"):format(port, options or "")
  end
  server.again()
  return server
end

--- The build folder from whatever folder.
function servers.path()
  if servers.build:find "^/" then return servers.build end
  local pipe <close> = assert(io.popen "pwd")
  return pipe:read "l" .. "/" .. servers.build
end

--- Runs a command of the host in a folder, where nothing of the user's is set but `env`:
--- what it printed, both streams, and its exit code.
function servers.command(folder, command, env)
  local pipe <close> = assert(io.popen(("cd %s && env -i PATH=\"$PATH\" HOME=%s TERM=xterm %s "
    .. "timeout 60 %s/keycycle 2>&1 %s; echo \"rc=$?\""):format(folder, folder, env or "",
    servers.path(), command)))
  local text, rc = pipe:read "a":match "^(.-)rc=(%d+)\r?\n$"
  return text, tonumber(rc)
end

--- Runs `code` in a host of its own with arguments and a changed environment:
--- what it printed, and its exit code.
function servers.host(code, args, env)
  local script = os.tmpname()
  write(script, code)
  local pipe = assert(io.popen(("env %s timeout 60 %s/keycycle %s %s 2>&1; echo \"rc=$?\"")
    :format(env or "", servers.build, script, args or "")))
  local out = pipe:read "a"
  pipe:close()
  os.remove(script)
  local text, rc = out:match "^(.-)rc=(%d+)\n$"
  return text, tonumber(rc)
end

return servers
