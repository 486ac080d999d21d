--- A store that fails for a while under load. `make proof` does it for a minute each.
local database = require "tests.proof.database"
local outages = require "tests.proof.outages"

local FAILS, WORKS, PACE, MODELS = 1, 0.3, 500, 5 -- seconds; calls a second

for _, kind in ipairs { { "sqlite", "lock" }, { "sqlite", "full" } } do
  describe(("a store in %s that fails (%s)"):format(kind[1], kind[2]), function()
    it("stops no call and loses nothing", function()
      local db <close> = database.open(kind[1], "/tmp")
      local run <close> = outages.start(db:fresh(), MODELS, PACE)
      run:phase(WORKS)
      db:fail(kind[2], run.worker.pid)
      local during = run:phase(FAILS)
      db:heal()
      run:phase(WORKS)
      local result = run:finish()
      assert.equal("", table.concat(result.faults, "\n"))
      assert.is_true(during.calls > 0 and result.requests > during.calls)
      -- A call that had waited for the store would have taken that long.
      assert.is_true(during.worst < FAILS * 0.9e6, during.worst)
    end)
  end)
end
