--- keycycle mock: an OpenAI-compatible provider on loopback, with limits per key.
---
--- For trying scripts without spending quota, and for tests: GET /journal tells
--- what reached it.
local keycycle = require "keycycle"
local mock = require "keycycle.mock.provider"

local usage = [[
usage: keycycle mock [options]
  --port N              port on 127.0.0.1 (0: any free one; default 8099)
  --keys a,b,c          the keys it knows (default sk-mock-1,sk-mock-2,sk-mock-3)
  --rpm N  --rph N  --rpd N    requests a key may make a minute, hour, day
  --tpm N  --tph N  --tpd N    tokens
  --style openai        whose API it speaks (openai is the one it knows)
  --latency MS          before each answer
  --chunk-delay MS      between the events of a stream
  --fail-every N        each N-th request gets a 500
  --overload-every N    each N-th request gets a 503
  --no-limit-headers    no x-ratelimit-* headers (Retry-After stays)
  --clock manual        its minute moves by POST /advance?seconds=N only
  --help
paths: /v1/chat/completions /v1/embeddings /v1/models; GET /journal, POST /journal/reset
A message "mock:status=503" or "mock:retry_after=2" (or the header x-mock-status) asks for
that fault.]]

local numbers = { port = 8099, rpm = false, rph = false, rpd = false, tpm = false, tph = false,
  tpd = false, latency = 0, ["chunk-delay"] = 0, ["fail-every"] = 0, ["overload-every"] = 0 }
local texts = { keys = "sk-mock-1,sk-mock-2,sk-mock-3", style = "openai", clock = "real" }

--- Ends with the exit code for bad usage.
local function bad(fmt, ...)
  io.stderr:write("keycycle mock: ", fmt:format(...), "\n")
  os.exit(2)
end

local function read_options(args)
  local options, i = { limit_headers = true }, 1
  for k, v in pairs(numbers) do options[k] = v end
  for k, v in pairs(texts) do options[k] = v end
  while args[i] do
    local name = args[i]:match "^%-%-([%w-]+)$"
    if name == "help" then
      print(usage)
      os.exit(0)
    elseif name == "no-limit-headers" then
      options.limit_headers = false
    elseif name and (numbers[name] ~= nil or texts[name]) then
      i = i + 1
      local value = args[i] or bad("--%s needs a value", name)
      if numbers[name] ~= nil then
        local n = math.tointeger(tonumber(value))
        if not n or n < 0 then bad("--%s must be a whole number, not %q", name, value) end
        value = n
      end
      options[name] = value
    else
      bad("unknown option %s (--help lists them)", args[i])
    end
    i = i + 1
  end
  return options
end

local function split_keys(text)
  local keys, seen = {}, {}
  for key in text:gmatch "[^,%s]+" do
    if not seen[key] then keys[#keys + 1] = key end
    seen[key] = true
  end
  if #keys == 0 then bad "--keys holds no key" end
  return keys
end

local function limits_of(o)
  return {
    requests = { minute = o.rpm or nil, hour = o.rph or nil, day = o.rpd or nil },
    tokens = { minute = o.tpm or nil, hour = o.tph or nil, day = o.tpd or nil },
  }
end

local function main()
  local o = read_options(arg)
  if o.style ~= "openai" then bad("--style %s is not known (known: openai)", o.style) end
  if o.clock ~= "real" and o.clock ~= "manual" then bad "--clock is real or manual" end
  if o.port > 65535 then bad "--port goes to 65535" end
  local server_module = require "keycycle.server"
  local server <close>, why = server_module.open { port = o.port }
  if not server then
    io.stderr:write("keycycle mock: ", why, "\n")
    return 1
  end
  local manual = 1e9
  local provider = mock.new {
    keys = split_keys(o.keys), limits = limits_of(o), limit_headers = o.limit_headers,
    latency = o.latency / 1000, chunk_delay = o["chunk-delay"] / 1000,
    fail_every = o["fail-every"], overload_every = o["overload-every"], server = server,
    now = o.clock == "manual" and function() return manual end
      or keycycle.clock.now,
    advance = o.clock == "manual" and function(seconds) manual = manual + seconds end or nil,
  }
  local pid = io.open("/proc/self/stat"):read "n"
  print(("keycycle mock: listening on http://127.0.0.1:%d/v1 (pid %d)"):format(server:port(), pid))
  io.stdout:flush()
  server:run(function(request) provider:handle(request) end)
  return 0
end

return main()
