--- make dist: an archive of the sources that is the same wherever it is made, and from
--- which LuaRocks builds the module.
local files = require "tests.support.files"

local build = os.getenv "KEYCYCLE_BUILD" or "build"

-- What a command prints, errors too, and how it ends. A make is not told of the one that
-- runs the tests.
local function try(command, ...)
  local pipe = assert(io.popen("unset MAKEFLAGS MAKELEVEL MFLAGS; { " .. command:format(...)
    .. "\n} 2>&1; echo rc=$?"))
  local out, rc = pipe:read "a":match "^(.*)rc=(%d+)\n$"
  pipe:close()
  return rc == "0", out
end

local function sh(command, ...)
  local ok, out = try(command, ...)
  assert(ok, command:format(...) .. "\n" .. out)
  return out
end

-- What LuaRocks has for `$(NAME)`, of which the rockspec says what it needs.
local function rockspec(path)
  local spec = {}
  assert(loadfile(path, "t", spec))()
  return spec
end

local function assignments(list, known)
  local words = {}
  for name, value in pairs(list) do
    local text = value:gsub("%$%(([%w_]+)%)", function(variable)
      return assert(known[variable], "LuaRocks knows no " .. variable)
    end)
    words[#words + 1] = ("'%s=%s'"):format(name, text)
  end
  return table.concat(words, " ")
end

describe("make dist #plain", function()
  local folder, remove, name, archive
  setup(function()
    folder, remove = files.folder()
    archive = sh("make -s BUILD='%s' dist", build):match "[^\n]+"
    name = archive:match "([^/]+)%.tar%.gz$"
    sh("tar xzf '%s' -C %s", archive, folder)
  end)
  teardown(function() remove() end)

  it("holds the sources under one folder, and nothing that was made", function()
    assert.equal(name .. "\n", sh("ls %s", folder))
    for line in sh("tar tvzf '%s' --numeric-owner", archive):gmatch "[^\n]+" do
      assert.truthy(line:find " 0/0 ", line)
      assert.is_nil(line:find("/build/", 1, true) or line:find("/.git/", 1, true), line)
    end
    for _, path in ipairs { "Makefile", "src/keycycle.h", "lua/keycycle/init.lua", ".luacheckrc",
      "tests/support/run_tests.sh", "scripts/chat.lua", "LICENSE" } do
      sh("cmp %s %s/%s/%s", path, folder, name, path)
    end
  end)

  it("makes the same from what was unpacked, whoever unpacks it", function()
    local out = sh("cd %s/%s && chmod -R go-rwx . && make -s dist", folder, name)
    sh("cmp '%s' %s/%s/%s", archive, folder, name, out:match "[^\n]+")
  end)

  it("is of what git tracks, and fails where a file of that is gone", function()
    local tree = folder .. "/tracked/" .. name
    sh("mkdir %s/tracked && cp -rp %s/%s %s/tracked/", folder, folder, name, folder)
    local git = ("git -C %s -c user.name=a -c user.email=a@b"):format(tree)
    sh("rm -rf %s/build && %s init -q && %s add . && %s commit -qm all", tree, git, git, git)
    files.put(tree .. "/untracked", "")
    local path = sh("make -s -C %s dist", tree):match "[^\n]+"
    assert.same({ sh("tar tzf '%s'", archive) }, { sh("tar tzf %s/%s", tree, path) })
    sh("rm %s/%s %s/LICENSE", tree, path, tree)
    assert.is_false((try("make -s -C %s dist", tree)))
    assert.is_false((try("test -e %s/%s", tree, path)))
    -- Without git what is there is taken, but not git's own.
    sh("mkdir %s/none && printf '#!/bin/sh\\nexit 1\\n' > %s/none/git && chmod +x %s/none/git",
      folder, folder, folder)
    local out = sh("PATH=%s/none:$PATH make -s -C %s dist && tar tzf %s/%s", folder, tree, tree,
      path)
    assert.truthy(out:find("/untracked\n", 1, true))
    assert.is_nil(out:find("/.git/", 1, true))
  end)

  it("is what LuaRocks builds the module from", function()
    local tree = ("%s/%s"):format(folder, name)
    local spec = rockspec(("%s/%s-1.rockspec"):format(tree, name))
    assert.same({ "keycycle", name .. "-1", name }, { spec.package,
      "keycycle-" .. spec.version, spec.source.dir })
    local known = { CC = "gcc", CFLAGS = "-O0 -fPIC", LIBFLAG = "-shared",
      LUA_INCDIR = sh "pkg-config --cflags-only-I lua5.4":match "%-I(%S+)",
      LIBDIR = folder .. "/rock/lib" }
    for library in pairs(spec.external_dependencies) do
      known[library .. "_INCDIR"] = "/usr/include"
      known[library .. "_LIBDIR"] = sh "pkg-config --variable=libdir libcurl":match "%S+"
    end
    sh("cd %s && make -s -j2 %s %s", tree, spec.build.build_target,
      assignments(spec.build.build_variables, known))
    sh("cd %s && make -s %s %s", tree, spec.build.install_target,
      assignments(spec.build.install_variables, known))
    assert.equal("keycycle.so\n", sh("ls %s/rock/lib", folder))
    assert.equal(spec.version:match "^[%d.]+" .. "\n", sh("cd / && LUA_PATH= "
      .. "LUA_CPATH='%s/rock/lib/?.so' lua5.4 -e 'print(require \"keycycle\"._VERSION)'", folder))
  end)

  it("is what LuaRocks itself takes, where it is", function()
    if not try "command -v luarocks" then return pending "there is no luarocks" end
    sh("cd %s/%s && luarocks lint %s-1.rockspec && luarocks make --lua-version 5.4 "
      .. "--tree %s/tree CFLAGS='-O0 -fPIC'", folder, name, name, folder)
    assert.equal(name .. "\n", sh([[cd / && eval "$(luarocks path --lua-version 5.4 --tree %s/tree)"
      lua5.4 -e 'print("keycycle-" .. require "keycycle"._VERSION)']], folder))
  end)
end)
