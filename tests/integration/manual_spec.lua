--- The manual page of the program: it is well-formed, and says what the program and its
--- sources say.
local servers = require "tests.support.servers"

local PAGE = "src/host/keycycle.1"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function output(command)
  local pipe <close> = assert(io.popen("( " .. command .. " ) 2>&1"))
  return pipe:read "a"
end

local function has(program)
  return os.execute(("command -v %s >/dev/null"):format(program)) == true
end

-- A sorted list of what a pattern captures, each once.
local function all(text, pattern)
  local seen, list = {}, {}
  for word in text:gmatch(pattern) do
    if not seen[word] then seen[word], list[#list + 1] = true, word end
  end
  table.sort(list)
  return list
end

-- The lines of a section.
local function section(name)
  local text = read(PAGE):match("\n%.Sh " .. name .. "\n(.-)\n%.Sh ")
  return assert(text, name) .. "\n"
end

local help = output(servers.build .. "/keycycle --help")

describe("the manual page", function()
  it("is well-formed", function()
    local tried = 0
    for program, command in pairs { mandoc = "mandoc -Tlint -W warning ",
      groff = "groff -mandoc -ww -Tutf8 -z " } do
      if has(program) then
        assert.equal("", output(command .. PAGE), program)
        tried = tried + 1
      end
    end
    if tried == 0 then pending "neither mandoc nor groff is here" end
  end)

  it("has the options of the program, and no others", function()
    local options = {}
    for line in section "DESCRIPTION":gmatch "%.It ([^\n]+)" do
      for option in (" " .. line):gmatch " Fl (%S+)" do options[#options + 1] = "-" .. option end
    end
    table.sort(options)
    local told = help:match "options:\n(.-)\ncommands:"
    local first = {}
    for line in told:gmatch "[^\n]+" do first[#first + 1] = line:match "^  (.-)  " or line end
    assert.same(all(" " .. table.concat(first, " , "), "[ ,](%-[%w-]*)"), options)
  end)

  it("has the commands of the program, and no others", function()
    local told = help:match "commands:\n(.*)$"
    assert.same(all("\n" .. told, "\n  (%w+) "), all(section "COMMANDS", "%.It Cm (%w+)"))
  end)

  it("has the variables that the sources read", function()
    local variables = section "ENVIRONMENT"
    local named = {}
    for file in output("find src lua scripts -name '*.[ch]' -o -name '*.lua'"):gmatch "[^\n]+" do
      local text = read(file)
      for _, name in ipairs(all(text, "getenv%s*%(?%s*\"([%u_]+)\"")) do named[name] = file end
    end
    assert.truthy(named.KEYCYCLE_PATH)
    named.TIDB_DB_URL = "lua/keycycle/store.lua"
    for name, file in pairs(named) do
      assert.truthy(variables:find("%f[%w_]" .. name .. "%f[^%w_]"), name .. " of " .. file)
    end
  end)

  it("has the exit codes", function()
    assert.same({ "0", "1", "2" }, all(section "EXIT STATUS", "\n?%.It (%d)\n"))
    local _, rc = servers.host "error 'no'"
    assert.equal(1, rc)
    assert.truthy(output(servers.build .. "/keycycle --no-such; echo $?"):find "\n2\n$")
  end)

  it("has examples whose options there are", function()
    for line in section "EXAMPLES":gmatch "%.Dl %$ keycycle ([^\n]+)" do
      local command = line:match "^%l+$" or line:match "^(%l+) "
      local told = help
      if command then told = output(("%s/keycycle %s --help"):format(servers.build, command)) end
      for option in line:gmatch "%-%-[%w-]+" do
        assert.truthy(told:find(option, 1, true), option)
      end
    end
  end)
end)
