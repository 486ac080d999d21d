--- What the libraries show to others: the functions that keycycle.h declares. (A
--- sanitizer's own names are among a sanitized one's.)
local build = os.getenv "KEYCYCLE_BUILD" or "build"

local function lines_of(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo rc=$?"))
  local out = pipe:read "a"
  pipe:close()
  local text = out:match "^(.*)rc=0\n$"
  assert(text, command .. ": " .. out)
  return text
end

-- Names that are defined and can be seen: sorted.
local function seen(options, file)
  local names = {}
  for name in lines_of(("nm %s --defined-only %s/%s"):format(options, build, file))
    :gmatch "%x+ %u ([^\n@]+)" do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function declared()
  local f <close> = assert(io.open "src/keycycle.h")
  local text = f:read "a":gsub("/%*.-%*/", ""):gsub("//[^\n]*", ""):gsub("typedef[^;]*;", "")
    :gsub("#[^\n]*", ""):gsub("%(%s*%*%s*[%w_]+%s*%)", "=") -- pointers to functions
  local names = {}
  for name in text:gmatch "%f[%w_]([%a_][%w_]*)%s*%(" do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The values of one tag of a file's dynamic section, in brackets there.
local function dynamic(file, tag)
  local list = {}
  for line in lines_of(("readelf -dW %s/%s"):format(build, file)):gmatch "[^\n]+" do
    local value = line:find("(" .. tag .. ")", 1, true) and line:match "%[([^%]]+)%]"
    list[#list + 1] = value or nil
  end
  return list
end

local version = assert(lines_of "cat src/keycycle.h":match '#define KEYCYCLE_VERSION "([%d.]+)"')
local shared = { "keycycle.so", "libkeycycle.so." .. version }

describe("the libraries #plain", function()
  it("show what keycycle.h declares, all of it and nothing else", function()
    local names = declared()
    assert.is_true(#names > 20)
    for _, file in ipairs(shared) do assert.same(names, seen("-D", file), file) end
  end)

  it("call what they show in themselves, where a process has both", function()
    for _, file in ipairs(shared) do
      local calls = lines_of(("readelf -rW %s/%s"):format(build, file))
      assert.truthy(calls:find("curl_easy_setopt", 1, true), file)
      assert.is_nil(calls:match "[%w_]*keycycle_[%w_]*", file)
    end
  end)

  it("show one function where they are the server's", function()
    local ok, names = pcall(seen, "-D", "keycycle-server.so")
    if not ok then return pending "built without libevent" end
    assert.same({ "luaopen_keycycle_server" }, names)
  end)

  it("as an archive have names of their own alone", function()
    local names = seen("-g", "libkeycycle.a")
    assert.is_true(#names > 200)
    for _, name in ipairs(names) do
      assert.truthy(name:find "^kc_" or name:find "^lk_" or name:find "^keycycle_"
        or name == "luaopen_keycycle", name)
    end
  end)

  it("as a program show nothing else of ours", function()
    local known = {}
    for _, name in ipairs(declared()) do known[name] = true end
    for _, name in ipairs(seen("-D", "keycycle")) do
      assert.truthy(known[name] or name:find "^lua" or name:find "^_" or name == "data_start",
        name)
    end
  end)

  it("bring Lua as a library, and as a module use the program's", function()
    local function brings_lua(file)
      return table.concat(dynamic(file, "NEEDED"), " "):find "liblua" ~= nil
    end
    assert.is_false(brings_lua(shared[1]))
    assert.is_true(brings_lua(shared[2]))
    assert.same({ "libkeycycle.so." .. version:match "^%d+" }, dynamic(shared[2], "SONAME"))
    for _, file in ipairs(shared) do
      local flags = lines_of(("readelf -dW %s/%s"):format(build, file))
      assert.truthy(flags:find "NODELETE", file)
    end
  end)
end)
