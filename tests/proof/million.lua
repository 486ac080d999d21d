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

local LONG = 1000 -- seconds that filling may take
local BUILD = os.getenv "KEYCYCLE_BUILD" or "build"
local o = flags.read { db = "sqlite", keys = 200, models = 50, runs = 5,
  dir = os.getenv "TMPDIR" or "/tmp" }

local function numbers_of(child)
  local numbers = {}
  local how, code = child:finish(function(line)
    for word in line:gmatch "%S+" do numbers[#numbers + 1] = tonumber(word) end
  end, LONG)
  if how ~= "exit" or code ~= 0 then error(("a process ended by %s %d"):format(how, code)) end
  return table.unpack(numbers)
end

local function least_start(url)
  local least, cpu, memory, known = math.huge, math.huge, 0, nil
  for _ = 1, o.runs do
    local took, worked, kib
    took, worked, kib, known = numbers_of(processes.lua("tests/proof/wake.lua", url,
      tostring(o.keys)))
    least, cpu, memory = math.min(least, took), math.min(cpu, worked), math.max(memory, kib)
  end
  return { ms = least, cpu = cpu, mib = memory / 1024, known = known }
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
local bare, full = least_start "-", least_start(url)
print(("million %s: a start takes %.0f ms (%.0f of CPU time), %.0f without a store; memory %.1f "
  .. "MiB, %.1f without"):format(db.name, full.ms, full.cpu, bare.ms, full.mib, bare.mib))
if path then
  local file <close> = assert(io.open(path))
  print(("million %s: the file has %.1f MiB"):format(db.name, file:seek "end" / (1 << 20)))
end
print(("million %s: stats takes %.0f ms"):format(db.name, least_stats(url)))
print(("million %s: %d requests were made, a start knows %d"):format(db.name, requests, full.known))
return full.known == requests and 0 or 1
