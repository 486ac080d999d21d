--- Several processes with one store and the same keys. `make proof` does it with more.
local database = require "tests.proof.database"
local sharing = require "tests.proof.sharing"

for _, kind in ipairs(database.kinds()) do
  describe("two processes with the same keys, and their store in " .. kind, function()
    it("both see the sum, and use what the limits allow", function()
      local db <close> = database.open(kind, "/tmp")
      local result = sharing.run(db:fresh(), { processes = 2, seconds = 1, limit = 10, tasks = 1,
        latency = 20 })
      assert.same({ result.requests, result.requests }, result.sees)
      assert.same({ 30, 0 }, { result.served, result.failed })
    end)
  end)
end
