--- Several processes with the same keys and one store, all as hungry as can be, against a
--- mock that counts for itself: by how much they go over the limit together, and whether
--- each one sees the sum.
---
---   keycycle tests/proof/processes.lua [--db sqlite|mariadb|URL] [--processes 4]
---     [--seconds 180] [--limit 60] [--tasks 4] [--latency 100] [--headers no] [--dir FOLDER]
---
--- --limit: requests a minute and key, of three keys; --tasks: calls that a process has under
--- way; --latency: milliseconds of an answer; --headers yes: the mock tells what remains, so
--- that the processes know of each other by that as well. Ends with 1 where one did not see
--- the sum of all, or a call failed by something else than the lack of a key.
local database = require "tests.proof.database"
local flags = require "tests.proof.flags"
local sharing = require "tests.proof.sharing"

local o = flags.read { db = "sqlite", processes = 4, seconds = 180, limit = 60, tasks = 4,
  latency = 100, headers = "no", dir = os.getenv "TMPDIR" or "/tmp" }
io.stdout:setvbuf "line"

local db <close> = database.open(o.db, o.dir)
local r = sharing.run(db:fresh(), { processes = o.processes, seconds = o.seconds,
  limit = o.limit, tasks = o.tasks, latency = o.latency, headers = o.headers == "yes" })

local differ = 0
for _, sees in ipairs(r.sees) do differ = differ + (sees == r.requests and 0 or 1) end
print(("processes %s: %d processes, %d s: %d requests, %d served (%.1f %% of what the limits "
  .. "allow), %d refused by 429, %d calls failed"):format(o.db, o.processes, o.seconds, r.requests,
  r.served, r.use * 100, r.refused, r.failed))
print(("processes %s: most requests of a key in a minute: %d, %d over the limit of %d; from the "
  .. "second minute on %d"):format(o.db, r.most, math.max(0, r.most - o.limit), o.limit, r.later))
print(("processes %s: what explains it was %.2f s old at most; %.1f s of CPU time"):format(o.db,
  r.lag, r.cpu))
print(("processes %s: each saw %s requests in the end, within %.2f s; %d differ"):format(o.db,
  table.concat(r.sees, " "), r.seconds, differ))
return (differ > 0 or r.failed > 0) and 1 or 0
