--- kill -9 at random moments: a process makes calls and tells each one; it is killed, and
--- a new process sees what the store remembers and takes what room the limits still give
--- (killing.lua). Each store lives through several such runs, and is looked at once more
--- when the killed ones are known to be dead.
---
---   keycycle tests/proof/kill.lua [--db sqlite|mariadb|URL] [--kills 1000] [--seed N]
---     [--grace 0.25] [--most 0.6] [--web yes] [--dir FOLDER]
---
--- --grace: seconds before a kill in which a call may be missing; --most: seconds that a
--- process lives at most; --web yes: it makes whole calls of a mock, too. What a URL names
--- must be empty, and all runs are its own. Two of these programs may share the work, with a
--- seed each. Stores in which something was found are left where they are. Ends with 1 where
--- anything was lost, counted twice, torn (it matches no state that there was) or over a
--- limit.
local proc = require "tests.support.proc"
local database = require "tests.proof.database"
local flags = require "tests.proof.flags"
local killing = require "tests.proof.killing"
local processes = require "tests.support.processes"
local shop = require "tests.proof.shop"

local SHORT, PER_STORE = 20, 8 -- seconds and runs for which a file is used
local MODELS = { 1, 5, 60 }    -- of "free": transactions of all sizes
local DEAD = 35                -- seconds after which a killed process is known to be dead
local FAULTS_SHOWN = 20

local o = flags.read { db = "sqlite", kills = 1000, seed = os.time(), grace = 0.25, most = 0.6,
  web = "yes", dir = os.getenv "TMPDIR" or "/tmp" }
math.randomseed(o.seed)
io.stdout:setvbuf "line"

local counts = { lost = 0, twice = 0, torn = 0, over = 0, failed = 0 }
local figures = { late = 0, excess = 0, shown = 0, room = 0, taken = 0 }
local made = 0

-- What went wrong in a store since the last time.
local function report(store, db)
  db.keep = db.keep or #store.book.faults > 0
  for _, fault in ipairs(store.book.faults) do
    counts[fault.kind], figures.shown = counts[fault.kind] + 1, figures.shown + 1
    if figures.shown <= FAULTS_SHOWN then
      print(("seed %d, %s, run %d: %s"):format(o.seed, store.url, store.round, fault.text))
    end
  end
  store.book.faults = {}
end

local function check_file(store)
  if not store.path then return end
  local file = io.open(store.path)
  if not file then return end -- killed before it was made
  file:close()
  local said = proc.integrity(store.path)
  if said ~= "ok\n" then store.book:fault("failed", "the file: %s", said) end
end

local function one_run(store, db)
  local child <close> = store:start()
  child:listen(proc.mono() + math.random() * o.most, store.note)
  local killed = store:kill(child)
  check_file(store)
  store:look(killed)
  report(store, db)
end

-- The killed are known to be dead, and what they held has been booked.
local function last_look(store, db)
  store:look_late()
  check_file(store)
  report(store, db)
  figures.late = math.max(figures.late, store.book.late)
  figures.excess = math.max(figures.excess, store.over)
  figures.room, figures.taken = figures.room + store.room, figures.taken + store.taken
end

local function new_store(db, web)
  made = made + 1
  local url, path = db:fresh()
  local store = killing.new(url, { web = web, models = MODELS[made % #MODELS + 1],
    grace = o.grace })
  store.path = path
  return store
end

local function main(db)
  local mock <close> = o.web == "yes"
    and processes.mock("--keys", table.concat(shop.KEYS, ",")) or nil
  local stores, store = {}, nil
  for left = o.kills - 1, 0, -1 do
    if not store or not db.lasting
      and (store.round == PER_STORE or proc.mono() - store.born > SHORT) then
      store = new_store(db, mock and mock.url or "-")
      stores[#stores + 1] = store
    end
    one_run(store, db)
    if left % 100 == 0 then print(("kill %s: %d to come"):format(db.name, left)) end
  end
  proc.sleep(DEAD)
  for _, each in ipairs(stores) do last_look(each, db) end
end

local db <close> = database.open(o.db, o.dir)
main(db)
local bad = 0
for _, n in pairs(counts) do bad = bad + n end
print(("kill %s: %d kills, %d lost, %d twice, %d torn, %d over, %d failed (seed %d)"):format(
  db.name, o.kills, counts.lost, counts.twice, counts.torn, counts.over, counts.failed,
  o.seed))
print(("kill %s: a call that is missing was %.0f ms old at most; over a limit with those that are "
  .. "missing by %d at most; %.1f %% of the room that was left was taken"):format(
  db.name, figures.late * 1000, figures.excess, figures.taken * 100 / figures.room))
return bad > 0 and 1 or 0
