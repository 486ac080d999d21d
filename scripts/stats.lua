--- keycycle stats: what the keys in the environment have used, out of a store.
--- usage: keycycle stats --db sqlite:FILE [PROVIDER…]
local keycycle = require "keycycle"
local provider = require "keycycle.provider"
local report = require "keycycle.report"

local url, names = nil, {}
local i = 1
while arg[i] do
  if arg[i] == "--db" then
    url, i = arg[i + 1], i + 1
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end
if #names == 0 then names = provider.names() end
if not url and not os.getenv "TIDB_DB_URL" then
  io.stderr:write "usage: keycycle stats --db sqlite:FILE [PROVIDER...]\n"
  return 2
end

local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = url }
local shown = 0
for _, name in ipairs(names) do
  local ok, err = pcall(wrapper.register_provider, wrapper, name, {})
  if ok then
    shown = shown + 1
    print(name)
    report.print(wrapper:get_manager(name))
  elseif not keycycle.is(err, keycycle.MissingEnvironmentVariableError) then
    error(err, 0)
  end
end
if shown == 0 then
  io.stderr:write "keycycle stats: no keys are set for any of these providers\n"
  return 1
end
