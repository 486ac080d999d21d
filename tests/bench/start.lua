--- What it costs to start: the module in the stock lua5.4 and the program, above a module
--- and a program that do nothing and are linked with the same libraries; and how large
--- the module is, in memory and on disk.
local shell = require "shell"

local start = {}

local ROUNDS = 200

local REQUIRE = "require 'keycycle'"
local CLIENT = [[
  local keycycle = require "keycycle"
  local wrapper = keycycle.MultiClientWrapper.new { scripts = false }
  wrapper:register_provider("groq", { keys = { "sk-bench-0001" } })
  wrapper:get_rotating_client("groq", keycycle.OpenAI)]]
local MEMORY = [[
  collectgarbage() collectgarbage "stop"
  local before = collectgarbage "count"
  require "keycycle"
  print(collectgarbage "count" - before)]]

local function lua(code) return "lua5.4 -e " .. shell.quote(code) end

-- Its CPU time and the wall's, above those of the one that does nothing.
local function print_above(name, f, place, nothing)
  print(("%s_cpu %.2f ms\n%s_wall %.2f ms"):format(name, f[2 * place - 1] - f[2 * nothing - 1],
    name, f[2 * place] - f[2 * nothing]))
end

function start.run(build)
  local env = ("LUA_INIT= LUA_CPATH='%s/?.so;%s/tests/bench/?.so' "):format(build, build)
  local f = shell.figures(env .. table.concat({ build .. "/tests/bench/spawn " .. ROUNDS,
    lua "require 'empty'", "--", lua(REQUIRE), "--", lua(CLIENT), "--",
    build .. "/tests/bench/empty", "--", build .. "/keycycle --version" }, " "))
  print_above("require_above_empty", f, 2, 1)
  print_above("first_client_above_empty", f, 3, 1)
  print_above("version_above_empty", f, 5, 4)
  print(("require_memory %.0f KiB"):format(shell.output(env .. lua(MEMORY))))
  local path = os.tmpname()
  local size = shell.output(("strip -o %s %s/keycycle.so && stat -c %%s %s"):format(path, build,
    path))
  os.remove(path)
  print(("stripped_module %.0f KiB"):format(size / 1024))
end

return start
