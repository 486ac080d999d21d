--- TLS against nginx with a certificate of the test's own: always checked, one
--- connection over HTTP/2, sessions and the parsed certificates reused.
local servers = require "tests.support.servers"

local PRELUDE = [[
  local keycycle = require "keycycle"
  local wrapper <close> = keycycle.MultiClientWrapper.new {}
  wrapper:register_provider("p", { base_url = arg[1], default_model = "m",
    keys = { "sk-test-0123456789abcdefghij" } })
  local client = wrapper:get_rotating_client("p", { max_retries = 0 })
  local function call() return client.chat.completions:create { messages = {} } end
]]

local CALL = PRELUDE .. [[
  local ok, err = pcall(call)
  print(ok, not ok and err.code, not ok and keycycle.is(err, keycycle.TransportError))
  print(wrapper:get_manager "p":get_global_stats().total.rpm)
]]

local PARALLEL = PRELUDE .. [[
  call() -- the connection is there from here on
  local calls, connections, protocol = {}, {}, nil
  for i = 1, 40 do
    calls[i] = function()
      local response = call()
      protocol = response.protocol
      connections[response.connection] = true
    end
  end
  keycycle.run(keycycle.gather, calls)
  local n = 0
  for _ in pairs(connections) do n = n + 1 end
  print(protocol, n)
]]

-- The first forty have no connection to wait for but the one being opened.
local COLD = PARALLEL:gsub("  call%(%) [^\n]*\n", "", 1)

local CONNECTION = PRELUDE .. [[
  if arg[2] then wrapper:preconnect "p" end
  print(call().connection)
]]

local SESSIONS = PRELUDE .. [[
  call()
  local calls, reused = {}, 0
  for i = 1, 8 do
    calls[i] = function()
      if call().reused == "r" then reused = reused + 1 end
    end
  end
  keycycle.run(keycycle.gather, calls)
  print(reused)
]]

local CERTIFICATES = PRELUDE .. [[
  local function bytes_read()
    local f <close> = assert(io.open "/proc/self/io")
    return tonumber(f:read "a":match "rchar: (%d+)")
  end
  call()
  local before = bytes_read()
  for _ = 1, 10 do call() end
  print(bytes_read() - before < 100000)
]]

-- A stream of 5,000 events that nobody reads, then somebody, beside calls and a second one.
local BESIDE = PRELUDE .. [[
  local function stream()
    return client:request { method = "GET", path = "/events", stream = true }
  end
  local function count(s)
    local n = 0
    for _ in s do n = n + 1 end
    return n
  end
  local connection, kept = call().connection, stream()
  local second = count(stream())
  local same = call().connection == connection
  print(second, count(kept), same)
]]

local EVENTS = ('data: {"text":"' .. ("x"):rep(500) .. '"}\n\n'):rep(5000)

describe("TLS", function()
  local right, wrong
  setup(function()
    right, wrong = servers.tls("localhost", EVENTS), servers.tls "other.example"
  end)
  teardown(function()
    right.stop()
    wrong.stop()
  end)

  local function run(code, port, cert, env)
    return servers.host(code, ("https://127.0.0.1:%d/v1"):format(port),
      ("SSL_CERT_FILE=%s %s"):format(cert, env or ""))
  end

  it("serves a call under a certificate that is known", function()
    assert.equal("true\tfalse\tfalse\n1\n", (run(CALL, right.h2, right.cert)))
  end)

  it("refuses a certificate that nobody vouches for, and the key comes back", function()
    assert.equal("false\ttls\ttrue\n0\n",
      (run(CALL, right.h2, "/etc/ssl/certs/ca-certificates.crt")))
  end)

  it("refuses a certificate for another name", function()
    assert.equal("false\ttls\ttrue\n0\n", (run(CALL, wrong.h2, wrong.cert)))
  end)

  it("never goes through a proxy to loopback", function()
    assert.equal("true\tfalse\tfalse\n1\n",
      (run(CALL, right.h2, right.cert, "https_proxy=http://127.0.0.1:1")))
  end)

  it("carries forty calls on one connection over HTTP/2", function()
    assert.equal("HTTP/2.0\t1\n", (run(PARALLEL, right.h2, right.cert)))
    assert.equal("HTTP/2.0\t1\n", (run(COLD, right.h2, right.cert)))
  end)

  it("carries calls and streams beside one that nobody reads, on one connection", function()
    assert.equal("5000\t5000\ttrue\n", (run(BESIDE, right.h2, right.cert)))
  end)

  it("is warmed by preconnect, which sends no key", function()
    local first = tonumber((run(CONNECTION, right.h2, right.cert)))
    local second = tonumber((servers.host(CONNECTION, ("https://127.0.0.1:%d/v1 warm")
      :format(right.h2), "SSL_CERT_FILE=" .. right.cert)))
    assert.equal(first + 1, second) -- one connection more, not two
  end)

  it("resumes its sessions on new connections", function()
    assert.equal("8\n", (run(SESSIONS, right.h1, right.cert)))
  end)

  it("parses a large bundle of certificates once", function()
    local bundle = os.tmpname()
    os.execute(("cat /etc/ssl/certs/ca-certificates.crt %s > %s"):format(right.cert, bundle))
    local out = run(CERTIFICATES, right.h1, bundle)
    os.remove(bundle)
    assert.equal("true\n", out)
  end)
end)
