--- Several processes with one store and the same keys. `make proof` does it with more.
local database = require "tests.proof.database"
local files = require "tests.support.files"
local processes = require "tests.support.processes"
local sharing = require "tests.proof.sharing"

local ONE_CALL = [[
  local wrapper <close> = require "keycycle".MultiClientWrapper.new { db_url = arg[1] }
  wrapper:register_provider("p", { base_url = "http://127.0.0.1:1/v1",
    keys = { "sk-proof-aaaaaaaaaaaaaaaa-1" } })
  local manager = wrapper:get_manager "p"
  if arg[2] == "call" then manager:get_key "m":commit(5) end
  print(manager:get_global_stats().total.total_requests)
]]

local function last_line(process)
  local last
  local how, code = process:finish(function(line) last = line end)
  return { how, code, tonumber(last) }
end

for _, kind in ipairs(database.kinds()) do
  describe("processes with the same keys, and their store in " .. kind, function()
    local db
    setup(function() db = database.open(kind, "/tmp") end)
    teardown(function() db:close() end)

    it("all see the sum, and use what the limits allow", function()
      local result = sharing.run(db:fresh(), { processes = 2, seconds = 1, limit = 10, tasks = 1,
        latency = 20 })
      assert.same({ result.requests, result.requests }, result.sees)
      assert.same({ 30, 0 }, { result.served, result.failed })
    end)

    it("may all be the first to open it", function()
      files.with(ONE_CALL, function(script)
        for _ = 1, 2 do
          local url, list = db:fresh(), {}
          for i = 1, 4 do list[i] = processes.lua(script, url, "call") end
          for i = 1, 4 do
            local ended = last_line(list[i])
            assert.same({ "exit", 0 }, { ended[1], ended[2] })
          end
          assert.same({ "exit", 0, 4 }, last_line(processes.lua(script, url)))
        end
      end)
    end)
  end)
end
