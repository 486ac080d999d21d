--- The linter refuses what it is there to refuse.
local files = require "tests.support.files"

local function lint(tree)
  local folder, remove = files.folder()
  for _, sub in ipairs { "src/util", "src/engine", "src/lua", "lua", "scripts", "tests" } do
    assert(os.execute(("mkdir -p %s/%s"):format(folder, sub)))
  end
  for path, text in pairs(tree) do
    local f <close> = assert(io.open(folder .. "/" .. path, "w"))
    f:write(text)
  end
  local pipe = assert(io.popen("tests/support/lint.sh " .. folder .. " 2>&1; echo rc=$?"))
  local out = pipe:read "a"
  pipe:close()
  remove()
  return out:match "^(.-)rc=(%d+)\n$"
end

describe("make lint", function()
  it("passes a clean tree", function()
    local out, rc = lint { ["src/util/a.c"] = "int a(void);\nint a(void)\n{\n    return 1;\n}\n",
      ["lua/a.lua"] = "return 1\n" }
    assert.equal("0", rc, out)
  end)

  for what, case in pairs {
    ["an upward include"] = { "src/util/a.c", '#include "engine/pool.h"\n',
      "util must not include engine/pool.h" },
    ["lua.h below the Lua floor"] = { "src/engine/a.c", "#include <lua.h>\n", "lua.h belongs" },
    ["a banned call"] = { "src/util/a.c", "void a(char *b);\nvoid a(char *b)\n{\n"
      .. "    strcpy(b, b);\n}\n",
      "strcpy is banned" },
    ["a warning"] = { "src/util/a.c",
      "int a(void);\nint a(void)\n{\n    int b;\n    return 1;\n}\n",
      "unused variable" },
    ["a conversion"] = { "src/util/a.c", "char a(int b);\nchar a(int b)\n{\n    return b;\n}\n",
      "error: conversion" },
    ["a global that changes"] = { "src/util/a.c", "static int a;\n", "a static that is not const" },
    ["a wide line"] = { "src/util/a.c", "/* " .. ("x"):rep(90) .. " */\n", "columns wide" },
    ["a long function"] = { "src/util/a.c", "int a(void);\nint a(void)\n{\n" .. ("    ;\n"):rep(90)
      .. "    return 1;\n}\n", "a function of 91 lines" },
    ["a long Lua function"] = { "lua/a.lua", "local function a()\n" .. ("  print(1)\n"):rep(70)
      .. "end\nreturn a\n", "a function of 70 lines" },
    ["a page that is not here"] = { "lua/a.lua", "return 1 -- see NOTES.md\n",
      "NOTES.md is not here" },
    ["a luacheck finding"] = { "lua/a.lua", "local unused = 1\n", "unused variable" },
    ["a global in Lua"] = { "lua/a.lua", "leak = 1\n", "leak" },
  } do
    it("refuses " .. what, function()
      local out, rc = lint { [case[1]] = case[2] }
      assert.equal("1", rc, out)
      assert.truthy(out:find(case[3], 1, true), out)
    end)
  end
end)
