--- make install and uninstall: what lies where, what can be built against it, and that
--- nothing of it is left.
local files = require "tests.support.files"

local build = os.getenv "KEYCYCLE_BUILD" or "build"

-- What a command prints, errors too; it must end well. A make is not told of the one
-- that runs the tests.
local function sh(command, ...)
  local pipe = assert(io.popen("unset MAKEFLAGS MAKELEVEL MFLAGS; { " .. command:format(...)
    .. "\n} 2>&1; echo rc=$?"))
  local out, rc = pipe:read "a":match "^(.*)rc=(%d+)\n$"
  pipe:close()
  assert(rc == "0", command:format(...) .. "\n" .. out)
  return out
end

local version = sh "cat src/keycycle.h":match '#define KEYCYCLE_VERSION "([^"]+)"'
local major = version:match "^%d+"

local function make(target, folder, variables)
  return sh("make -s BUILD='%s' %s DESTDIR='%s' %s", build, target, folder, variables)
end

-- The files and links below a folder, by their path from there: sorted.
local function tree(folder)
  local list = {}
  for path in sh("cd %s && find . ! -type d -printf '%%P\n'", folder):gmatch "[^\n]+" do
    list[#list + 1] = path
  end
  table.sort(list)
  return list
end

local function exists(path)
  local f = io.open(path)
  if f then f:close() end
  return f ~= nil
end

-- What is to be there, with folders by their usual names.
local function expected(at)
  local list = { at.bin .. "/keycycle", at.cmod .. "/keycycle.so", at.include .. "/keycycle.h",
    at.lib .. "/pkgconfig/keycycle.pc" }
  for _, name in ipairs { "a", "so", "so." .. major, "so." .. version } do
    list[#list + 1] = at.lib .. "/libkeycycle." .. name
  end
  for name in sh "ls lua/keycycle/meta":gmatch "[^\n]+" do
    list[#list + 1] = at.share .. "/keycycle/meta/" .. name
  end
  if exists(build .. "/keycycle-server.so") then
    list[#list + 1] = at.server .. "/keycycle-server.so"
  end
  list[#list + 1] = at.man .. "/man1/keycycle.1"
  table.sort(list)
  return list
end

local USUAL = { bin = "opt/bin", lib = "opt/lib", include = "opt/include", share = "opt/share",
  man = "opt/share/man", cmod = "opt/lib/lua/5.4", server = "opt/lib/keycycle" }

-- A program with keys alone, one with a Lua state, and one whose Lua others cannot see.
local PROGRAMS = {
  pool = [[
    #include <keycycle.h>
    #include <stdio.h>
    int main(void)
    {
        struct keycycle_pool_options options = {.provider = "p"};
        struct keycycle_pool *pool;
        struct keycycle_key key = {.api_key = "sk-test-0123456789abcdefghij"};
        struct keycycle_request request = {.model = "m"};
        struct keycycle_lease lease;
        unsigned index;
        if (keycycle_pool_open(&options, &pool) || keycycle_pool_add_key(pool, &key, &index) ||
            keycycle_pool_acquire(pool, &request, &lease, NULL) ||
            keycycle_lease_commit(&lease, 3, 4, 0))
            return 1;
        keycycle_pool_close(pool);
        puts(KEYCYCLE_VERSION);
        return 0;
    }]],
  state = [[
    #include <keycycle.h>
    #include <lauxlib.h>
    #include <lualib.h>
    #include <stdio.h>
    int main(void)
    {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
        if (luaL_dostring(L, "keycycle.spawn(function() print(keycycle._VERSION) end)"))
            return 1;
        int left = keycycle_step(L, 0, -1);
        lua_close(L);
        return left;
    }]],
  hidden = [[
    #include <dlfcn.h>
    #include <stddef.h>
    int main(int argc, char **argv)
    {
        void *lua = dlopen("liblua5.4.so.0", RTLD_NOW | RTLD_LOCAL);
        void *lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (argc < 2 || !lua || !lib)
            return 1;
        void *(*newstate)(void), (*openlibs)(void *), (*close)(void *);
        void (*requiref)(void *, const char *, void *, int);
        int (*load)(void *, const char *), (*call)(void *, int, int, int, ptrdiff_t, void *);
        *(void **)&newstate = dlsym(lua, "luaL_newstate");
        *(void **)&openlibs = dlsym(lua, "luaL_openlibs");
        *(void **)&requiref = dlsym(lua, "luaL_requiref");
        *(void **)&load = dlsym(lua, "luaL_loadstring");
        *(void **)&call = dlsym(lua, "lua_pcallk");
        *(void **)&close = dlsym(lua, "lua_close");
        void *L = newstate();
        openlibs(L);
        requiref(L, "keycycle", dlsym(lib, "luaopen_keycycle"), 1);
        if (load(L, "print(keycycle.run(function() return keycycle._VERSION end))") ||
            call(L, 0, 0, 0, 0, NULL))
            return 2;
        close(L);
        dlclose(lib);
        return 0;
    }]],
}

describe("make install #plain", function()
  local folder, remove, at
  setup(function()
    folder, remove = files.folder()
    at = folder .. "/opt"
    make("install", folder, "PREFIX=/opt")
    for name, text in pairs(PROGRAMS) do files.put(("%s/%s.c"):format(folder, name), text) end
    -- It lies elsewhere for now.
    sh("mkdir %s/pc && sed 's,^prefix=/opt$,prefix=%s,' %s/lib/pkgconfig/keycycle.pc > "
      .. "%s/pc/keycycle.pc", folder, at, at, folder)
  end)
  teardown(function() remove() end)

  -- What pkg-config says of packages.
  local function words(options)
    return (sh("PKG_CONFIG_PATH=%s/pc pkg-config %s", folder, options):gsub("\n", " "))
  end

  local function compile(name, flags)
    local out = sh("gcc -std=c99 -pedantic-errors -Wall %s/%s.c -o %s/%s %s", folder, name,
      folder, name, flags)
    assert.equal("", out)
  end

  it("builds nothing anew", function()
    local out = sh("make -n BUILD='%s' install DESTDIR=%s PREFIX=/opt CFLAGS=-O3", build, folder)
    assert.truthy(out:find "install %-m 644")
    assert.is_nil(out:find(" -c ", 1, true), out)
  end)

  it("writes nothing where it was built", function()
    sh("make -s BUILD='%s' all && touch %s/before", build, folder)
    make("install", folder, "PREFIX=/opt")
    assert.equal("", sh("find '%s' -newer %s/before", build, folder))
  end)

  it("refuses folders that it would take for others", function()
    for variables, what in pairs {
      ["PREFIX='/a b'"] = 'PREFIX is "/a b"', ["PREFIX=a"] = 'PREFIX is "a"',
      ["BINDIR='/a /b'"] = 'BINDIR is "/a /b"', ["MANDIR=man"] = 'MANDIR is "man"',
      ["DESTDIR='/a b'"] = 'DESTDIR is "/a b"', ["BUILD='a b'"] = 'BUILD is "a b"',
      ["BUILD="] = 'BUILD is ""',
    } do
      for _, target in ipairs { "install", "uninstall" } do
        local out = sh("make -n BUILD='%s' %s DESTDIR=%s %s || true", build, target, folder,
          variables)
        assert.truthy(out:find(what, 1, true), out)
        assert.is_nil(out:find("install -d", 1, true) or out:find("rm -f", 1, true), out)
      end
    end
  end)

  it("puts a program where it works, and finds its server", function()
    assert.equal("keycycle " .. version, sh("cd / && %s/bin/keycycle --version", at)
      :match "^keycycle [%d.]+")
    if exists(build .. "/keycycle-server.so") then
      assert.equal("table\n",
        sh("cd / && %s/bin/keycycle -e 'print(type(require \"keycycle.server\"))'", at))
    end
  end)

  it("puts a module where stock Lua loads it", function()
    assert.equal(version .. "\n", sh("cd / && LUA_PATH= LUA_CPATH='%s/lib/lua/5.4/?.so' lua5.4 -e "
      .. "'print(require \"keycycle\"._VERSION)'", at))
  end)

  it("lets programs be linked with the shared library", function()
    for _, name in ipairs { "pool", "state" } do
      compile(name, words("--cflags --libs keycycle" .. (name == "state" and " lua5.4" or "")))
      assert.truthy(sh("readelf -dW %s/%s", folder, name):find("libkeycycle.so." .. major, 1, true))
      assert.equal(version .. "\n",
        sh("LD_LIBRARY_PATH=%s/lib %s/%s", at, folder, name))
    end
  end)

  it("lets programs be linked with the archive", function()
    -- The libraries that it needs are not archives themselves.
    local libs = words "--cflags --libs keycycle":gsub("%-lkeycycle", "-l:libkeycycle.a")
      .. words("--libs " .. words "--print-requires-private keycycle") .. "-pthread -ldl -lm"
    for _, name in ipairs { "-lcurl", "-lcjson", "-lsqlite3", "-llua5.4", "-lm" } do
      assert.truthy(words "--libs --static keycycle":find(name, 1, true), name)
    end
    for _, name in ipairs { "pool", "state" } do
      compile(name, libs)
      assert.is_nil(sh("readelf -dW %s/%s", folder, name):find "libkeycycle")
      assert.equal(version .. "\n", sh("%s/%s", folder, name))
    end
  end)

  it("lets programs that have no Lua be linked without it", function()
    compile("pool", ("-I%s/include %s/lib/libkeycycle.a -lcurl -lsqlite3 -pthread -lm")
      :format(at, at))
    assert.is_nil(sh("readelf -dW %s/pool", folder):find "liblua")
    assert.equal(version .. "\n", sh("%s/pool", folder))
  end)

  it("serves a program that has opened Lua for itself alone", function()
    compile("hidden", "-ldl")
    assert.equal(version .. "\n", sh("%s/hidden %s/lib/libkeycycle.so.%s", folder, at, major))
  end)
end)

describe("make uninstall #plain", function()
  it("leaves nothing that install put there", function()
    local folder, remove = files.folder()
    make("install", folder, "PREFIX=/opt")
    assert.same(expected(USUAL), tree(folder))
    files.put(folder .. "/opt/lib/other.so", "")
    make("uninstall", folder, "PREFIX=/opt")
    assert.same({ "opt/lib/other.so" }, tree(folder))
    assert.equal("", sh("find %s -name keycycle", folder))
    remove()
  end)

  it("knows the folders that it is told", function()
    local folder, remove = files.folder()
    local variables = "PREFIX=/usr BINDIR=/usr/games LIBDIR=/usr/lib/here INCLUDEDIR=/inc "
      .. "MANDIR=/man LUA_CMOD_DIR=/lua"
    make("install", folder, variables)
    assert.same(expected { bin = "usr/games", lib = "usr/lib/here", include = "inc",
      share = "usr/share", man = "man", cmod = "lua", server = "usr/lib/keycycle" }, tree(folder))
    local pc = sh("cat %s/usr/lib/here/pkgconfig/keycycle.pc", folder)
    assert.truthy(pc:find("libdir=${prefix}/lib/here\n", 1, true), pc)
    assert.truthy(pc:find("includedir=/inc\n", 1, true), pc)
    assert.truthy(sh("%s/usr/games/keycycle --version", folder):find(version, 1, true))
    make("uninstall", folder, variables)
    assert.same({}, tree(folder))
    remove()
  end)
end)

describe("the version", function()
  it("is one wherever it stands", function()
    assert.truthy(version:find "^%d+%.%d+%.%d+$")
    assert.equal(version, require "keycycle"._VERSION)
    assert.equal(version, require "keycycle.core".VERSION)
    assert.equal(version, sh "cat lua/keycycle/meta/*.lua":match 'VERSION = "([^"]+)"')
    local spec = sh "cat *.rockspec"
    assert.equal(("keycycle-%s-1.rockspec\n"):format(version), sh "ls *.rockspec")
    assert.equal(version .. "-1", spec:match '\nversion = "([^"]+)"')
    assert.truthy(spec:find(("keycycle-%s.tar.gz"):format(version), 1, true))
    assert.truthy(spec:find(('dir = "keycycle-%s"'):format(version), 1, true))
    assert.truthy(sh "cat src/host/keycycle.1":find("\n.Os keycycle " .. version .. "\n", 1, true))
  end)
end)
