--- keycycle stats: what the keys in the environment have used, out of a store.
local keycycle = require "keycycle"
local command = require "keycycle.command"
local provider = require "keycycle.provider"
local report = require "keycycle.report"

local usage = [[
usage: keycycle stats [--db sqlite:FILE] [PROVIDER...]
  --db       the store (default: what TIDB_DB_URL names)
  PROVIDER   whose keys (none: those of every provider that has any)]]

local options, words = command.read(arg, usage, { db = true })
if not options then return words end
local names = #words > 0 and words or provider.names()
local url = options.db or os.getenv "TIDB_DB_URL"
if not url or url == "" then
  io.stderr:write("keycycle stats: which store?\n", usage, "\n")
  return 2
end

-- Who asks for statistics does not want a new store.
local path = url:match "^sqlite:(.+)$"
local file, why = io.open(path and path:gsub("^///", "") or "/dev/null", "rb")
if not file then
  io.stderr:write("keycycle stats: there is no store: ", why, "\n")
  return 1
end
file:close()

local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = url }
local shown = 0
for _, name in ipairs(names) do
  local ok, err = pcall(wrapper.register_provider, wrapper, name, {})
  if ok and (#words > 0 or wrapper:get_manager(name):keys()[1].label ~= "no key") then
    shown = shown + 1
    print(name)
    report.print(wrapper:get_manager(name))
  elseif not ok and (#words > 0 or not keycycle.is(err, keycycle.MissingEnvironmentVariableError))
  then
    error(err, 0)
  end
end
if shown == 0 then
  io.stderr:write "keycycle stats: no keys are set for any of these providers\n"
  return 1
end
