--- What the build makes of the Lua files that it embeds: the same functions, and what
--- they cost a program that asks for little of them.
local core = require "keycycle.core"
local files = require "tests.support.files"

local build = os.getenv "KEYCYCLE_BUILD" or "build"

local function read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

local function list(folders)
  local pipe <close> = assert(io.popen("find " .. folders .. " -name '*.lua' | LC_ALL=C sort"))
  local paths = {}
  for path in pipe:lines() do paths[#paths + 1] = path end
  assert.is_true(#paths > 100)
  return paths
end

-- With all that debuggers see: lines, names of variables.
local function compile(text, name)
  return string.dump(assert(load(text, "@" .. name, "t", {})))
end

local function strip(path)
  local pipe = assert(io.popen(("%s/txt2c -s '%s' 2>&1"):format(build, path)))
  local text = pipe:read "a"
  return pipe:close() and text
end

describe("an embedded file #pure", function()
  it("is the function that the file itself makes, line by line", function()
    for _, path in ipairs(list "lua/keycycle") do
      local name = path:sub(#"lua/" + 1)
      local made = core.builtin(name, {})
      if path:find "/meta/" then
        assert.is_nil(made, name) -- what editors read is not built in
      else
        assert.is_true(compile(read(path), name) == string.dump(made), name)
      end
    end
  end)

  it("is every Lua file as Lua sees it", function()
    for _, path in ipairs(list "lua scripts tests") do
      local text, stripped = read(path), assert(strip(path), path)
      assert.is_true(compile(text, path) == compile(stripped, path), path)
      assert.is_true(#stripped < #text or not text:find "%-%-", path)
    end
  end)
end)

describe("the text that is embedded #pure", function()
  local function stripped(text) return files.with(text, strip) end

  it("has no comment and no indentation, but every line end", function()
    for _, case in ipairs {
      { "", "" }, { "-- all", "" }, { "--\n\n--\n", "\n\n\n" },
      { "  local  a \t= 1 -- one\n\treturn a\n", "local a = 1\nreturn a\n" },
      { "local a --[[ x ]] = --[==[ ]] ]=]\n ]==] 1", "local a =\n1" },
      { "return--[[x]]1", "return 1" }, { "return 1--[[\n]]", "return 1\n" },
      { "return 3 - -2 --[ no long one\n", "return 3 - -2\n" },
      { "return '--', \"--[[\", '\\'  --'  -- '\n", "return '--', \"--[[\", '\\'  --'\n" },
      { "return '\\\\' -- '\n", "return '\\\\'\n" },
      { "return 'a\\\n  b', '\\z\n   c'  , 1", "return 'a\\\n  b', '\\z\n   c' , 1" },
      { "return [[\n  -- in\n]]  -- out", "return [[\n  -- in\n]]" },
      { "return [==[ ]] ]=] --]==] -- out", "return [==[ ]] ]=] --]==]" },
      { "return a[ [[x]] ], a [b[1]] -- c", "return a[ [[x]] ], a [b[1]]" },
      { "return 7 // 2 -- c\n, 1 .. 2", "return 7 // 2\n, 1 .. 2" },
    } do
      local text, expected = case[1], case[2]
      assert.equal(expected, stripped(text))
      assert.is_true(compile(text, "x") == compile(expected, "x"), text)
    end
  end)

  it("is not made of what does not end, or has ends of lines that we do not count", function()
    for _, text in ipairs { "return 'a", "return [[a]", "--[==[ a ]]", "return 1\r\n", "\0" } do
      assert.falsy(stripped(text), text)
    end
  end)
end)

describe("an error in an embedded file", function()
  it("names the file and its line", function()
    local _, err = pcall(require "keycycle.log".set_level, nil)
    assert.truthy(err:find "the log level is off")
    local info = debug.getinfo(require "keycycle.errors".raise, "Sl")
    assert.equal("@keycycle/errors.lua", info.source)
    local n = 0
    for line in io.lines "lua/keycycle/errors.lua" do
      n = n + 1
      if line:find "^function errors.raise" then break end
    end
    assert.equal(n, info.linedefined)
  end)
end)
