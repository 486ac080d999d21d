-- `make dist` first where LuaRocks is to fetch the sources; `luarocks make` takes them here.
rockspec_format = "3.0"
package = "keycycle"
version = "0.1.0-1"
source = { url = "file://build/keycycle-0.1.0.tar.gz", dir = "keycycle-0.1.0" }
description = {
  summary = "Several API keys of one AI provider, used as one",
  detailed = [[
    For each call keycycle picks an API key that still has room, counts what is used,
    waits as long as needed, tells a temporary refusal from a spent quota and from a dead
    key, streams, and remembers usage across restarts. Calls in a task do not block others.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5" }
-- Their headers may lie where LuaRocks does not look, and pkg-config does.
external_dependencies = {
  CURL = { library = "curl" }, CJSON = { library = "cjson" }, SQLITE3 = { library = "sqlite3" },
}
build = {
  type = "make",
  build_target = "rock",
  install_target = "install-rock",
  build_variables = {
    CC = "$(CC)", CFLAGS = "$(CFLAGS)", LIBFLAG = "$(LIBFLAG)", LUA_INCDIR = "$(LUA_INCDIR)",
    CURL_INCDIR = "$(CURL_INCDIR)", CURL_LIBDIR = "$(CURL_LIBDIR)",
    CJSON_INCDIR = "$(CJSON_INCDIR)", CJSON_LIBDIR = "$(CJSON_LIBDIR)",
    SQLITE3_INCDIR = "$(SQLITE3_INCDIR)", SQLITE3_LIBDIR = "$(SQLITE3_LIBDIR)",
  },
  install_variables = { INST_LIBDIR = "$(LIBDIR)" },
}
