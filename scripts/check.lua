--- keycycle check: tries every key with the cheapest call that its provider has.
local keycycle = require "keycycle"
local command = require "keycycle.command"
local provider = require "keycycle.provider"
local report = require "keycycle.report"

local AT_ONCE = 8 -- keys that are tried at the same time

local usage = [=[
usage: keycycle check [PROVIDER [BASE_URL]]
  PROVIDER   its keys (none: those of every provider that has any)
  BASE_URL   where they are sent, instead of to the provider's own host
It ends with 0 when every key that was tried is good.]=]

keycycle.log.set_level "error" -- what is wrong with a key is said in the table
local options, words = command.read(arg, usage, nil, 2)
if not options then return words end
local only, base_url = words[1], words[2]

local lines = {} -- of the table: provider, key, ends, verdict

--- A wrapper of what is to be tried, and the names in it. A provider whose keys are
--- wrongly set is a line of the table.
local function registered()
  local wrapper, names = keycycle.MultiClientWrapper.new(), {}
  for _, name in ipairs(only and { only } or provider.names()) do
    local ok, err = pcall(wrapper.register_provider, wrapper, name, { base_url = base_url })
    if ok and (only or wrapper:get_manager(name):keys()[1].label ~= "no key") then
      names[#names + 1] = name
    elseif not ok and only then
      wrapper:stop()
      error(err, 0)
    elseif not ok and err.code ~= "no_keys" then
      lines[#lines + 1] = { name, "-", "-", err.message or tostring(err), code = "31" }
    end
  end
  return wrapper, names
end

local function limited(err)
  if not err.retry_after then return "limited" end
  return "limited until " .. os.date("%Y-%m-%d %H:%M:%S", math.ceil(err.retry_at))
end

--- What one call says of a key: a word, and its colour.
local function try(wrapper, name, index)
  local client = wrapper:get_rotating_client(name, {
    key_id = index, pin_key = true, max_retries = 0, wait = false, request_timeout = 30,
  })
  local answer, err = keycycle.try(function() return client:check {} end)
  if answer then return "ok", "32" end
  if not keycycle.is(err, keycycle.KeycycleError) then error(err, 0) end
  if err.code == "unknown_path" then return "not tried: it has no route check", "33" end
  if keycycle.is(err, keycycle.TransportError) then return "unreachable", "31" end
  if err.code == "auth" or err.status == 401 then return "invalid", "31" end
  if err.code == "payment" then return "unpaid", "31" end
  if err.status == 429 then return limited(err), "33" end
  if err.code == "permission_region" then return "no access", "31" end
  return (err.message:gsub("%c", " "):sub(1, 100)), "31"
end

local function try_all(wrapper, names)
  local next_line, done = #lines + 1, 0
  local first = next_line
  for _, name in ipairs(names) do
    for _, key in ipairs(wrapper:get_manager(name):keys()) do
      lines[#lines + 1] = { name, tostring(key.index), key.suffix ~= "" and key.suffix or "-" }
    end
  end
  local total = #lines - first + 1
  local progress = report.progress(total)
  local function work()
    while lines[next_line] do
      local line = lines[next_line]
      next_line = next_line + 1
      line[4], line.code = try(wrapper, line[1], tonumber(line[2]))
      done = done + 1
      progress.show(done)
    end
  end
  keycycle.run(function()
    for _ = 1, math.min(AT_ONCE, total) do keycycle.spawn(work) end
  end)
  progress.clear()
end

local wrapper <close>, names = registered()
if #names == 0 and #lines == 0 then
  io.stderr:write "keycycle check: no keys are set for any provider (see keycycle providers)\n"
  return 1
end
try_all(wrapper, names)
local good, bad = 0, 0
for _, line in ipairs(lines) do
  if line[4] == "ok" then good = good + 1 elseif line.code ~= "33" then bad = bad + 1 end
  if line[4]:find "^limited" then bad = bad + 1 end
end
report.table({ "provider", "key", "ends", "verdict" }, lines)
return good > 0 and bad == 0 and 0 or 1
