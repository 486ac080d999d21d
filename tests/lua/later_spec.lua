local keycycle = require "keycycle"
local core = require "keycycle.core"
local files = require "tests.support.files"
local later = require "keycycle.later"

describe("a part of the library", function()
  local loads
  before_each(function()
    loads = 0
    package.preload["tests.part"] = function()
      loads = loads + 1
      return { twice = function(x) return 2 * x, "two" end, refuse = function() error("no", 2) end }
    end
    package.loaded["tests.part"] = nil
  end)
  after_each(function()
    package.preload["tests.part"], package.loaded["tests.part"] = nil, nil
  end)

  it("is loaded when it is first asked for something, and once", function()
    local module, twice = later.module "tests.part", later.call("tests.part", "twice")
    assert.equal(0, loads)
    assert.same({ 6, "two" }, { twice(3) })
    assert.same({ 8, "two" }, { module.twice(4) })
    assert.is_nil(module.thrice)
    assert.equal(require "tests.part".twice, module.twice)
    assert.equal(1, loads)
  end)

  it("is tried again where it could not be loaded", function()
    local load = package.preload["tests.part"]
    package.preload["tests.part"] = function() error "not enough memory" end
    local module, twice = later.module "tests.part", later.call("tests.part", "twice")
    assert.is_false(pcall(function() return module.twice end))
    assert.is_false(pcall(twice, 1))
    package.preload["tests.part"] = load
    assert.same({ 2, 4 }, { (module.twice(1)), (twice(2)) })
  end)

  it("blames who calls it", function()
    local refuse = later.call("tests.part", "refuse")
    local _, err = pcall(function()
      local x = refuse()
      return x
    end)
    assert.truthy(err:find "^tests/lua/later_spec.lua:%d+: no$")
    _, err = pcall(function()
      local x = keycycle.run(5)
      return x
    end)
    assert.truthy(err:find "^tests/lua/later_spec.lua:%d+: run needs a function")
  end)

  it("is the same after a program has emptied package.loaded", function()
    local limits = require "keycycle.limits"
    package.loaded["keycycle.limits"], package.loaded["keycycle.core"] = nil, nil
    assert.equal(limits, require "keycycle.limits")
    assert.equal(core, require "keycycle.core")
  end)

  it("is not loaded for a library that was closed, and is for one loaded anew", function()
    local said = files.with([[
      local keycycle, later = require "keycycle", require "keycycle.later"
      local module, call = later.module "keycycle.simulate", later.call("keycycle.simulate", "run")
      for name in pairs(package.loaded) do
        if name:find "^keycycle" then package.loaded[name] = nil end
      end
      debug.getregistry()["keycycle.modules"] = nil
      local again = require "keycycle"
      assert(again ~= keycycle and pcall(again.simulate, {}) == false)
      for _, fn in ipairs { call, function() return module.run end } do
        local ok, err = pcall(fn, {})
        print(ok, err.code, keycycle.is(err, keycycle.KeycycleError))
      end
      print(again.simulate { calls_per_hour = 0, limits = {} }.served)]], function(path)
      local host = (os.getenv "KEYCYCLE_BUILD" or "build") .. "/keycycle"
      local pipe <close> = assert(io.popen(host .. " " .. path .. " 2>&1"))
      return pipe:read "a"
    end)
    assert.equal("false\tclosed\ttrue\nfalse\tclosed\ttrue\n0\n", said)
  end)
end)
