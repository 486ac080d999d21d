--- What Lua has not: processes, clocks, SQLite files seen from outside. See proclib.c.
package.cpath = (os.getenv "KEYCYCLE_BUILD" or "build") .. "/tests/support/?.so;" .. package.cpath
return require "proclib"
