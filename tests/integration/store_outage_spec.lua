--- A store that fails for a while under load. `make proof` does it for a minute each.
local database = require "tests.proof.database"
local outages = require "tests.proof.outages"

local FAILS, WORKS, PACE, MODELS = 0.6, 0.2, 500, 5 -- seconds; calls a second

local failures = { sqlite = { "lock", "full" }, mariadb = { "crash", "freeze" } }

local function run_through(db, failure)
  local run <close> = outages.start(db:fresh(), MODELS, PACE)
  run:phase(WORKS)
  db:fail(failure, run.worker.pid)
  local during = run:phase(FAILS)
  db:heal()
  run:phase(WORKS)
  local result = run:finish()
  assert.equal("", table.concat(result.faults, "\n"))
  assert.is_true(during.calls > 0 and result.requests > during.calls)
  -- A call that had waited for the store would have taken that long.
  assert.is_true(during.worst < FAILS * 0.9e6, during.worst)
end

for _, kind in ipairs(database.kinds()) do
  describe("a store in " .. kind .. " that fails", function()
    local db
    setup(function() db = database.open(kind, "/tmp") end)
    teardown(function() db:close() end)

    for _, failure in ipairs(failures[kind]) do
      it(("stops no call and loses nothing (%s)"):format(failure), function()
        run_through(db, failure)
      end)
    end
  end)
end
