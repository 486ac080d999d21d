--- A host of frames, in C (tests/hosts/frame.c). What depends on the machine's speed is
--- told by a bench.
local hosts = require "tests.support.hosts"
local servers = require "tests.support.servers"

local KEY = "sk-mock-aaaaaaaaaaaaaaaa-1"
local CALLS, STREAMS = 30, 10

for _, build in ipairs(hosts.builds) do
  describe("a host of frames in " .. build, function()
    local mock, raw
    setup(function()
      mock = servers.mock("--chunk-delay 1 --keys " .. KEY)
      raw = servers.raw()
    end)
    teardown(function()
      mock.stop()
      raw.stop()
    end)

    it("has all its answers and streams, and closing its states gives all back", function()
      local got, text = hosts.figures(build, "frame 8 500 0 tests/hosts/frame.lua %s %s %d %d",
        mock.url, KEY, CALLS, STREAMS)
      assert.equal(0, got.live, text)
      assert.equal(8, select(2, text:gsub("answers " .. CALLS + STREAMS .. " 1\n", "")), text)
      assert.is_true(got.frames > 2, text)
      assert.is_true(got.heap_grown < hosts.SLACK, text)
      assert.equal(0, got.descriptors_grown, text)
    end)

    it("goes on drawing while no answer comes", function()
      local got, text = hosts.figures(build, "frame 2 1000 100 tests/hosts/frame.lua %s %s 5 5",
        raw.url "/never" .. "/v1", KEY)
      assert.same({ 100, 10 }, { got.frames, got.live }, text)
      assert.equal(0, got.descriptors_grown, text)
    end)
  end)
end
