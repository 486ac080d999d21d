--- lint.lua DIR: what a compiler does not say. Prints `file:line: what` and ends
--- with 1 when there was anything.
local dir = arg[1] or "."

local findings = 0
local function finding(file, line, fmt, ...)
  findings = findings + 1
  print(("%s:%d: %s"):format(file, line, fmt:format(...)))
end

local function files(pattern)
  local list = {}
  local pipe = assert(io.popen(("cd '%s' && find src lua scripts tests -type f | LC_ALL=C sort")
    :format(dir)))
  for path in pipe:lines() do
    if path:find(pattern) then list[#list + 1] = path end
  end
  pipe:close()
  return list
end

local function lines_of(path)
  local list = {}
  for line in io.lines(dir .. "/" .. path) do list[#list + 1] = line end
  return list
end

-- What is one a process, for it is about forks.
local of_process = { ["src/runtime/registry.c"] = true, ["src/store/sqlite_fork.c"] = true }

-- Floors: a file includes its own and those below.
local below = {
  util = "util", engine = "util engine", store = "util engine store", net = "util net",
  runtime = "util engine store net runtime",
  lua = "util engine store net runtime lua", host = "util engine store net runtime lua host",
}

local function check_include(path, n, floor, header)
  local target = header:match "^(%l+)/"
  local allowed = (" " .. below[floor] .. " "):find(" " .. tostring(target) .. " ", 1, true)
  if target and below[target] and not allowed then
    finding(path, n, "%s must not include %s: floors include downwards", floor, header)
  end
  local lua = header == "lua.h" or header == "lauxlib.h" or header == "lualib.h"
  if lua and floor ~= "lua" and floor ~= "host" then
    finding(path, n, "%s belongs to src/lua and src/host", header)
  end
  if header:find "cJSON%.h$" and path ~= "src/lua/json.c" then
    finding(path, n, "cJSON.h belongs to src/lua/json.c")
  end
end

local banned = { "sprintf", "vsprintf", "strcpy", "strcat", "atoi", "atol", "time", "gets",
  "strtok" }

local function check_calls(path, n, line)
  local code = line:gsub('"[^"]*"', '""'):gsub("/%*.-%*/", ""):gsub("^%s*%*.*$", "")
  for _, name in ipairs(banned) do
    if code:find("%f[%w_]" .. name .. "%s*%(") then finding(path, n, "%s is banned", name) end
  end
  if #line > 80 and not line:find "^#define X" then
    finding(path, n, "the line is %d columns wide", #line)
  end
end

-- Who reads a file has no other page than those that are here.
local function check_pages(path, n, line)
  for name in line:gmatch "%f[%w](%u+%.md)%f[%W]" do
    if name ~= "README.md" then finding(path, n, "%s is not here", name) end
  end
end

local in_library = "^src/(%l+)/"

local function check_c(path)
  local floor = path:match(in_library)
  local lines, opened = lines_of(path), nil
  local most = path == "src/keycycle.h" and 900 or 600 -- which is the manual, too
  if #lines > most then finding(path, most, "the file has %d lines", #lines) end
  for n, line in ipairs(lines) do
    local header = line:match '^#include%s+[<"]([^>"]+)[>"]'
    if header and floor and below[floor] then check_include(path, n, floor, header) end
    if floor then check_calls(path, n, line) end
    check_pages(path, n, line)
    if line == "{" then opened = n end
    if line == "}" and opened then
      local size = n - opened - 1
      if size > 80 then finding(path, opened, "a function of %d lines", size) end
      opened = nil
    end
    local variable = line:find "^static [^()]*=" or line:find "^static [%w_ *]+;"
    if variable and floor and floor ~= "host" and not of_process[path]
      and not line:find "%f[%w]const%f[%W]" then
      finding(path, n, "a static that is not const")
    end
  end
end

-- A function ends where its `end` stands at the column of its beginning.
local function check_lua(path)
  local lines = lines_of(path)
  if #lines > 400 and not path:find "^tests/" then
    finding(path, 400, "the file has %d lines", #lines)
  end
  if path:find "^tests/" then return end
  for n, line in ipairs(lines) do
    check_pages(path, n, line)
    local indent = line:match "^(%s*)local function " or line:match "^(%s*)function "
    if indent and not line:find "%f[%w]end%f[%W]" then
      for m = n + 1, #lines do
        if lines[m] == indent .. "end" then
          if m - n - 1 > 60 then finding(path, n, "a function of %d lines", m - n - 1) end
          break
        end
      end
    end
  end
end

for _, path in ipairs(files "%.[ch]$") do check_c(path) end
for _, path in ipairs(files "%.lua$") do check_lua(path) end
os.exit(findings == 0 and 0 or 1)
