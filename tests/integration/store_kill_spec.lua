--- What a store keeps of a process that is killed. `make proof` does it a thousand times.
local database = require "tests.proof.database"
local killing = require "tests.proof.killing"
local proc = require "tests.support.proc"

local RUNS, SHORT, PATIENCE = 4, 0.15, 20 -- seconds

local function faults_of(store)
  local texts = {}
  for i, fault in ipairs(store.book.faults) do texts[i] = fault.text end
  return table.concat(texts, "\n")
end

for _, kind in ipairs(database.kinds()) do
  describe("a process that is killed, and its store in " .. kind, function()
    local db
    setup(function() db = database.open(kind, "/tmp") end)
    teardown(function() db:close() end)

    it("has kept all calls, and what was in flight, without an end", function()
      local store = killing.new(db:fresh(), { models = 3, grace = 0 })
      local child <close> = store:start(60)
      local idle
      child:listen(proc.mono() + PATIENCE, function(line)
        store.note(line)
        idle = idle or line == "idle"
        return idle
      end)
      assert.is_true(idle)
      assert.is_true(store:wait_until_kept(PATIENCE))
      store:look(store:kill(child))
      assert.equal("", faults_of(store))
    end)

    it("counts nothing twice and holds the limits, whenever that is", function()
      local url, path = db:fresh()
      local store = killing.new(url, { models = 5, grace = math.huge })
      for _ = 1, RUNS do
        local child <close> = store:start()
        child:listen(proc.mono() + math.random() * SHORT, store.note)
        store:look(store:kill(child))
        if path then assert.equal("ok\n", proc.integrity(path)) end
      end
      assert.equal("", faults_of(store))
    end)
  end)
end
