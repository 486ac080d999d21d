--- A million rows, as thirty days of 200 keys and 50 models leave them (fill.c): what a start
--- and `keycycle stats` take.
---
---   keycycle tests/proof/million.lua [--db sqlite|mariadb|URL] [--keys 200] [--models 50]
---     [--runs 5] [--dir FOLDER]
---
--- Each figure is the least of --runs. Ends with 1 where a start does not know all of it.
local proc = require "tests.support.proc"
local database = require "tests.proof.database"
local flags = require "tests.proof.flags"
local processes = require "tests.support.processes"

local BUILD = os.getenv "KEYCYCLE_BUILD" or "build"
local o = flags.read { db = "sqlite", keys = 200, models = 50, runs = 5,
  dir = os.getenv "TMPDIR" or "/tmp" }

local function numbers_of(child)
  local first, second, third
  local how, code = child:finish(function(line)
    first, second, third = line:match "^(%S+) (%S+) ?(%S*)$"
  end)
  if how ~= "exit" or code ~= 0 or not first then
    error(("a process ended by %s %d"):format(how, code))
  end
  return tonumber(first), tonumber(second), tonumber(third)
end

local function least_start(url)
  local best, most, known = math.huge, 0, nil
  for _ = 1, o.runs do
    local took, memory
    took, memory, known = numbers_of(processes.lua("tests/proof/wake.lua", url, tostring(o.keys)))
    best, most = math.min(best, took), math.max(most, memory)
  end
  return best, most, known
end

local function least_stats(url)
  local best = math.huge
  for _ = 1, o.runs do
    local start = proc.mono()
    local how, code = processes.lua("stats", "--db", url):finish()
    if how ~= "exit" or code ~= 0 then error(("stats ended by %s %d"):format(how, code)) end
    best = math.min(best, proc.mono() - start)
  end
  return best * 1000
end

local db <close> = database.open(o.db, o.dir)
local url, path = db:fresh()
local start = proc.mono()
local rows, requests = numbers_of(processes.start(BUILD .. "/tests/proof/fill", url,
  tostring(o.keys), tostring(o.models)))
print(("million %s: %d rows in %.1f s"):format(db.name, rows, proc.mono() - start))
local bare, bare_memory = least_start "-"
local took, memory, known = least_start(url)
print(("million %s: a start takes %.0f ms, %.0f without a store; memory %.1f MiB, %.1f without")
  :format(db.name, took, bare, memory / 1024, bare_memory / 1024))
if path then
  local file <close> = assert(io.open(path))
  print(("million %s: the file has %.1f MiB"):format(db.name, file:seek "end" / (1 << 20)))
end
print(("million %s: stats takes %.0f ms"):format(db.name, least_stats(url)))
print(("million %s: %d requests were made, a start knows %d"):format(db.name, requests, known))
return known == requests and 0 or 1
