--- keycycle mock: a provider of many styles on loopback, with limits per key.
---
--- For trying scripts without spending quota, and for tests: GET /journal tells
--- what reached it.
local keycycle = require "keycycle"
local command = require "keycycle.command"
local fault = require "keycycle.mock.fault"
local mock = require "keycycle.mock.provider"

local usage = [[
usage: keycycle mock [options]
  --port N              port on 127.0.0.1 (0: any free one; default 8099)
  --keys a,b,c          the keys it knows (default sk-mock-1,sk-mock-2,sk-mock-3)
  --rpm N  --rph N  --rpd N    requests a key may make a minute, hour, day
  --tpm N  --tph N  --tpd N    tokens
  --itpm N  --otpm N    tokens of what is asked and answered, a minute
  --style NAME          whose API it speaks (default openai): one of
                        %s
  --dead a,b            keys that get the provider's refusal of a wrong key
  --spent a,b           keys whose day's quota is used up, until a day from the start
  --latency MS          before each answer
  --chunk-delay MS      between the events of a stream
  --fail-every N        each N-th request gets a 500
  --overload-every N    each N-th request gets a 503
  --no-limit-headers    no x-ratelimit-* headers (Retry-After stays)
  --clock manual        its minute moves by POST /advance?seconds=N only
  --parent PID          ends when that process, which started it, has ended
  --journal-bodies      the journal holds bodies and headers, too (never a key)
  --help
paths: those of the style, under the base_url it prints; GET /journal, POST /journal/reset
A message with one of these words (or the header x-mock-status, x-mock-fault) gets:
  mock:status=503 mock:retry_after=2   that status, that delay
  mock:fault=NAME       the provider's own form of one of
                        %s
  mock:tool=NAME        a call of that tool; mock:tool of the first one
  mock:then=NAME        a call of that one after another's result
  mock:cached=N mock:reasoning=N       such tokens in the usage]]

local numbers = { port = 8099, rpm = false, rph = false, rpd = false, tpm = false, tph = false,
  tpd = false, itpm = false, otpm = false, latency = 0, ["chunk-delay"] = 0, ["fail-every"] = 0,
  ["overload-every"] = 0, parent = false }
local texts = { keys = "sk-mock-1,sk-mock-2,sk-mock-3", style = "openai", clock = "real",
  dead = "", spent = "" }
local flags = { ["no-limit-headers"] = true, ["journal-bodies"] = true }

--- Ends with the exit code for bad usage.
local function bad(fmt, ...)
  io.stderr:write("keycycle mock: ", fmt:format(...), "\n")
  os.exit(2)
end

local function in_two_lines(names)
  local half = (#names + 1) // 2
  return table.concat(names, " ", 1, half) .. "\n" .. (" "):rep(24)
    .. table.concat(names, " ", half + 1)
end

local function read_options(args)
  local options, i = {}, 1
  for k, v in pairs(numbers) do options[k] = v end
  for k, v in pairs(texts) do options[k] = v end
  while args[i] do
    local name, attached = command.option(args[i])
    if args[i] == "--help" or args[i] == "-h" then
      print(usage:format(in_two_lines(mock.styles), table.concat(fault.names, " ")))
      os.exit(0)
    elseif flags[name] and not attached then
      options[name] = true
    elseif name and (numbers[name] ~= nil or texts[name]) then
      if not attached then i = i + 1 end
      local value = attached or args[i] or bad("--%s needs a value", name)
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
  return keys
end

local function limits_of(o)
  return {
    requests = { minute = o.rpm or nil, hour = o.rph or nil, day = o.rpd or nil },
    tokens = { minute = o.tpm or nil, hour = o.tph or nil, day = o.tpd or nil },
    input_tokens = { minute = o.itpm or nil }, output_tokens = { minute = o.otpm or nil },
  }
end

local function check_options(o)
  local styles = table.concat(mock.styles, " ")
  if not (" " .. styles .. " "):find(" " .. o.style .. " ", 1, true) then
    bad("--style %s is not known (known: %s)", o.style, styles)
  end
  if #split_keys(o.keys) == 0 then bad "--keys holds no key" end
  if o.clock ~= "real" and o.clock ~= "manual" then bad "--clock is real or manual" end
  if o.port > 65535 then bad "--port goes to 65535" end
end

-- A number of the line that the system keeps of this process: its own, its parent's.
local function process(pattern)
  local file <close> = assert(io.open "/proc/self/stat")
  return tonumber(file:read "l":match(pattern))
end

-- Looks now and then whether the parent is still there; who has none left gets another.
local function end_with_parent(server, parent)
  if process "%) %S (%d+)" ~= parent then os.exit(0) end
  server:after(0.1, function() end_with_parent(server, parent) end)
end

local function main()
  local o = read_options(arg)
  check_options(o)
  local server_module = require "keycycle.server"
  local server <close>, why = server_module.open { port = o.port }
  if not server then
    io.stderr:write("keycycle mock: ", why, "\n")
    return 1
  end
  local manual = 1e9
  local provider = mock.new {
    style = o.style, keys = split_keys(o.keys), dead = split_keys(o.dead),
    spent = split_keys(o.spent), limits = limits_of(o), bodies = o["journal-bodies"],
    limit_headers = not o["no-limit-headers"],
    latency = o.latency / 1000, chunk_delay = o["chunk-delay"] / 1000,
    fail_every = o["fail-every"], overload_every = o["overload-every"], server = server,
    now = o.clock == "manual" and function() return manual end
      or keycycle.clock.now,
    advance = o.clock == "manual" and function(seconds) manual = manual + seconds end or nil,
  }
  print(("keycycle mock: listening on http://127.0.0.1:%d%s (pid %d)"):format(server:port(),
    provider:base(), process "^%d+"))
  io.stdout:flush()
  if o.parent then end_with_parent(server, o.parent) end
  server:run(function(request) provider:handle(request) end)
  return 0
end

return main()
