--- A million rows, as thirty days of 280 keys and 50 models leave them (fill.c): what a start
--- and `keycycle stats` take.
---
---   keycycle tests/proof/million.lua [--db sqlite|mariadb|URL] [--keys 280] [--models 50]
---     [--runs 5] [--dir FOLDER]
---
--- Each figure is the median of --runs, by the wall and of CPU time. Ends with 1 where a
--- start does not know all of it.
local proc = require "tests.support.proc"
local database = require "tests.proof.database"
local flags = require "tests.proof.flags"
local processes = require "tests.support.processes"

local LONG = 1000 -- seconds that filling may take
local BUILD = os.getenv "KEYCYCLE_BUILD" or "build"
local o = flags.read { db = "sqlite", keys = 280, models = 50, runs = 5,
  dir = os.getenv "TMPDIR" or "/tmp" }

local function numbers_of(child)
  local numbers = {}
  local how, code = child:finish(function(line)
    for word in line:gmatch "%S+" do numbers[#numbers + 1] = tonumber(word) end
  end, LONG)
  if how ~= "exit" or code ~= 0 then error(("a process ended by %s %d"):format(how, code)) end
  return table.unpack(numbers)
end

local function median(numbers)
  table.sort(numbers)
  return numbers[(#numbers + 1) // 2]
end

local function start_on(url)
  local walls, cpus, memory, known = {}, {}, 0, nil
  for i = 1, o.runs do
    local kib
    walls[i], cpus[i], kib, known = numbers_of(processes.lua("tests/proof/wake.lua", url,
      tostring(o.keys)))
    memory = math.max(memory, kib)
  end
  return { ms = median(walls), cpu = median(cpus), mib = memory / 1024, known = known }
end

local function stats_of(url)
  local walls, cpus, memory = {}, {}, 0
  for i = 1, o.runs do
    local start, child = proc.mono(), processes.lua("stats", "--db", url)
    local how, code = child:finish()
    if how ~= "exit" or code ~= 0 then error(("stats ended by %s %d"):format(how, code)) end
    walls[i], cpus[i] = (proc.mono() - start) * 1000, child.cpu * 1000
    memory = math.max(memory, child.kib)
  end
  return { ms = median(walls), cpu = median(cpus), mib = memory / 1024 }
end

local db <close> = database.open(o.db, o.dir)
local url, path = db:fresh()
local start = proc.mono()
local rows, requests = numbers_of(processes.start(BUILD .. "/tests/proof/fill", url,
  tostring(o.keys), tostring(o.models)))
print(("million %s: %d rows in %.1f s"):format(db.name, rows, proc.mono() - start))
local bare, full, stats = start_on "-", start_on(url), stats_of(url)
print(("million %s: a start takes %.0f ms (%.0f of CPU time), %.0f without a store; memory %.1f "
  .. "MiB, %.1f without"):format(db.name, full.ms, full.cpu, bare.ms, full.mib, bare.mib))
print(("million %s: stats takes %.0f ms (%.0f of CPU time); memory %.1f MiB"):format(db.name,
  stats.ms, stats.cpu, stats.mib))
if path then
  local file <close> = assert(io.open(path))
  local size = file:seek "end"
  print(("million %s: the file has %.1f MiB, %.1f bytes a row"):format(db.name, size / (1 << 20),
    size / rows))
end
print(("million %s: %d requests were made, a start knows %d"):format(db.name, requests, full.known))
return full.known == requests and 0 or 1
