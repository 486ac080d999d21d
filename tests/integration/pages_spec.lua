--- The pages for those who write adapters and for those who embed the library: their blocks
--- run as they are printed and in their order, but for the ports of the servers and the
--- folder, which are the test's. A block whose first line is a file's name is that file.
local blocks = require "tests.support.blocks"
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local ADAPTERS = "lua/keycycle/providers/README.md"
local EMBEDDERS = "src/README.md"
local FLAGS = "-Wall -Wextra -Wshadow -Wstrict-prototypes -Werror"

local folder, remove
before_each(function() folder, remove = files.folder() end)
after_each(function() remove() end)

local function is_file(block)
  return block.name ~= nil and block.name:find "^[%w_/]+%.%a+$" ~= nil
end

-- Writes the blocks that are files into the folder.
local function write_files(path, edit)
  local n = 0
  for _, block in ipairs(blocks.read(path)) do
    if is_file(block) then
      files.put(folder .. "/" .. block.name, edit(block.text))
      n = n + 1
    end
  end
  return n
end

-- The other Lua of a page as one program.
local function program(path)
  return blocks.join(blocks.of(path, "lua", function(block) return not is_file(block) end))
end

-- A function that puts other texts in the place of some.
local function editor(changes)
  return function(text)
    for from, to in pairs(changes) do
      text = text:gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%")))
    end
    return text
  end
end

-- Runs a page's Lua in a host of its own; says so at its end.
local function run_lua(path, edit)
  write_files(path, edit)
  local code = edit(program(path)) .. "\nprint 'to the end'\n"
  local out, rc = servers.host(code, "", ("HOME=%s XDG_CONFIG_HOME="):format(folder))
  assert.equal(0, rc, out)
  assert.truthy(out:find("to the end", 1, true), out)
end

local function sh(format, ...)
  local pipe <close> = assert(io.popen(("( %s ) 2>&1; echo \"rc=$?\""):format(format:format(...))))
  local out, rc = pipe:read "a":match "^(.*)rc=(%d+)\n$"
  return out, tonumber(rc)
end

describe("the page for adapter authors", function()
  local openai, umbra
  setup(function()
    openai = servers.mock "--rpm 5 --keys acme-key-1,acme-key-2"
    umbra = servers.mock "--style cohere --rpm 3 --keys umbra-key-1,umbra-key-2"
  end)
  teardown(function()
    openai.stop()
    umbra.stop()
  end)

  it("has Lua that runs from its first block to its last", function()
    run_lua(ADAPTERS, editor { ["http://127.0.0.1:8099"] = openai.root,
      ["http://127.0.0.1:8097"] = umbra.root,
      ['keycycle.load "scripts"'] = ('keycycle.load "%s"'):format(folder) })
  end)

  it("has files of at most forty lines", function()
    local seen = 0
    for _, block in ipairs(blocks.of(ADAPTERS, "lua")) do
      if is_file(block) then
        local _, lines = block.text:gsub("\n", "")
        assert.is_true(lines <= 41, block.name .. " has " .. lines)
        seen = seen + 1
      end
    end
    assert.equal(4, seen)
  end)

  it("names commands and options that there are", function()
    local help = sh("%s/keycycle mock --help", servers.build)
    for _, block in ipairs(blocks.of(ADAPTERS, "sh")) do
      assert.truthy(block.text:find "^keycycle mock ", block.text)
      for option in block.text:gmatch "%-%-[%w-]+" do
        assert.truthy(help:find(option, 1, true), option)
      end
    end
  end)

  it("names every field of a definition", function()
    local meta = require "tests.support.meta"
    local file <close> = assert(io.open(ADAPTERS))
    local text = file:read "a"
    for _, class in ipairs { "ProviderDefinition", "RouteDefinition", "LimitHeader", "ClassifyRule",
      "ProtocolDefinition", "ChargeDefinition", "PolicyDefinition", "Failure", "UsagePaths",
      "RateLimits", "Window", "Request", "Response", "SeenResponse" } do
      for _, name in ipairs(meta.names("keycycle." .. class)) do
        assert.truthy(text:find("%f[%w_]" .. name .. "%f[^%w_]"), class .. "." .. name)
      end
    end
  end)
end)

describe("the page for embedders #plain", function()
  local mock, edit
  setup(function()
    mock = servers.mock "--rpm 20 --keys sk-mock-1,sk-mock-2"
    edit = editor { ["http://127.0.0.1:8099"] = mock.root }
  end)
  teardown(function() mock.stop() end)

  it("has Lua that runs", function() run_lua(EMBEDDERS, edit) end)

  -- The page's own command, for another file; it says what a program without Lua leaves out.
  local function compile_command(source, text)
    for _, block in ipairs(blocks.of(EMBEDDERS, "sh")) do
      local command = block.text:match "cc game%.c (%-Isrc [^\n]+)"
      if command then
        command = command:gsub("build/libkeycycle%.a", servers.build .. "/libkeycycle.a")
        if not text:find("lua_State", 1, true) then
          command = command:gsub(" lua5%.4 ", " "):gsub(" libcjson ", " ")
        end
        return ("cc %s %s %s -o %s/a.out"):format(FLAGS, source, command, folder)
      end
    end
  end

  it("has programs that are compiled without a warning, and run", function()
    local seen = 0
    write_files(EMBEDDERS, edit)
    for _, block in ipairs(blocks.of(EMBEDDERS, "c")) do
      if is_file(block) then
        local command = compile_command(folder .. "/" .. block.name, block.text)
        local out, rc = sh("%s", command)
        assert.equal(0, rc, ("line %d: %s"):format(block.line, out))
        out, rc = sh("cd %s && HOME=%s timeout 60 ./a.out", folder, folder)
        assert.equal(0, rc, ("line %d: %s"):format(block.line, out))
        seen = seen + 1
      end
    end
    assert.is_true(seen >= 4)
  end)

  it("has commands that compile what is installed", function()
    local out, rc = sh("unset MAKEFLAGS MAKELEVEL MFLAGS; make -s BUILD='%s' install "
      .. "PREFIX=%s/there LDCONFIG=", servers.build, folder)
    assert.equal(0, rc, out)
    write_files(EMBEDDERS, edit)
    local seen = 0
    for _, block in ipairs(blocks.of(EMBEDDERS, "sh")) do
      for command in block.text:gmatch "cc [^\n]+" do
        if not command:find("-Isrc", 1, true) then
          out, rc = sh("cd %s && export PKG_CONFIG_PATH=%s/there/lib/pkgconfig && %s && "
            .. "LD_LIBRARY_PATH=%s/there/lib ./a.out", folder, folder, command, folder)
          assert.equal(0, rc, command .. "\n" .. out)
          seen = seen + 1
        end
      end
    end
    assert.equal(2, seen)
  end)

  it("has functions that are compiled without a warning", function()
    local seen = 0
    for _, block in ipairs(blocks.of(EMBEDDERS, "c")) do
      if not is_file(block) then
        files.put(folder .. "/part.c", ("#include <poll.h>\n#include <stdio.h>\n"
          .. "#include <lauxlib.h>\n#include <keycycle.h>\n#line %d\n%s")
          :format(block.line, block.text))
        local out, rc = sh("cc %s -Isrc -Wno-unused-function -fsyntax-only %s/part.c "
          .. "$(pkg-config --cflags lua5.4)", FLAGS, folder)
        assert.equal(0, rc, out)
        seen = seen + 1
      end
    end
    assert.is_true(seen >= 1)
  end)
end)
