--- A store fails under load, and comes back: what that costs the calls meanwhile, and that
--- nothing is lost.
---
---   keycycle tests/proof/outage.lua [--db sqlite|mariadb] [--fail lock] [--seconds 60]
---     [--pace 2000] [--models 20] [--crashes 0] [--dir FOLDER]
---
--- --fail: of sqlite "lock" (another connection has the file), "full" (no file may grow),
--- "disk" (no room; --dir must lie on a small filesystem); of mariadb "stop" (shut down),
--- "crash" (SIGKILL), "freeze" (SIGSTOP). --crashes N: instead of one outage N short ones, a
--- second apart. --pace: calls a second. Ends with 1 where a new process does not see exactly
--- what the worker (busy.lua) says it used.
local proc = require "tests.support.proc"
local database = require "tests.proof.database"
local flags = require "tests.proof.flags"
local outages = require "tests.proof.outages"

local o = flags.read { db = "sqlite", fail = "lock", seconds = 60, pace = 2000, models = 20,
  crashes = 0, dir = os.getenv "TMPDIR" or "/tmp" }
io.stdout:setvbuf "line"

local BEFORE, AFTER, PAUSE = 10, 5, 1 -- seconds

local db <close> = database.open(o.db, o.dir)
local run <close> = outages.start(db:fresh(), o.models, o.pace)
run:phase(1) -- it has warmed up
local before = run:phase(BEFORE)
local begin = proc.mono()
local function out(seconds)
  db:fail(o.fail, run.worker.pid)
  run:wait(seconds)
  db:heal()
end
if o.crashes == 0 then out(o.seconds) end
for _ = 1, o.crashes do
  out(math.random() * PAUSE)
  run:wait(math.random() * PAUSE)
end
local lasted = proc.mono() - begin
local during = run:phase(0)
local after = run:phase(AFTER)
local result = run:finish()

local name = ("outage %s %s"):format(o.db, o.fail)
for i, phase in ipairs { before, during, after } do
  print(("%s: %s %d calls, p50 %.1f us, p99 %.1f us, worst %.1f us"):format(name,
    ({ "before", "during", "after" })[i], phase.calls, phase.p50, phase.p99, phase.worst))
end
print(("%s: p99 during / before %.2f, worst %.2f; memory %d KiB before, %d at most during, %d "
  .. "after; stop took %.2f s"):format(name, during.p99 / before.p99, during.worst / before.worst,
  before.memory, during.most_memory, after.memory, result.stopped))
for _, line in ipairs(result.log) do print(name .. ": " .. line) end
for _, line in ipairs(result.faults) do print(name .. ": " .. line) end
print(("%s: %.0f s, %d requests, %d tokens, %d of %d counters differ"):format(name, lasted,
  result.requests, result.tokens, #result.faults, result.counters))
return #result.faults > 0 and 1 or 0
