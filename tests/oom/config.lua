--- Keys from a file of variables, a provider and a policy of one's own, a report.
local keycycle = require "keycycle"
local report = require "keycycle.report"

local variables = [[
NUM_OOMTEST=2
OOMTEST_API_KEY_1=sk-oom-first-0001
OOMTEST_API_KEY_2="sk-oom-second-002"
OOMTEST_REGION_1=eu
OOMTEST_REGION_2=us
]]

local function settings()
  return { base_url = "http://127.0.0.1:9/v1", extra_params = { "region" },
    limits = keycycle.RateLimits { requests_per_minute = 5, day_resets_at = "UTC" },
    policy = keycycle.policy { name = "mine", decide = function() return "fail" end } }
end

return {
  { "write", function(w)
    w.file = w.file or os.tmpname()
    local f <close> = assert(io.open(w.file, "w"))
    f:write(variables)
  end },
  { "from_env", function(w)
    w.wrapper = keycycle.MultiClientWrapper.from_env({ oomtest = settings() },
      { env_file = w.file, clock = keycycle.clock.manual(1.7e9) })
    w.manager = w.wrapper:get_manager "oomtest"
  end },
  { "keys", function(w)
    w.keys = keycycle.load_api_keys("oomtest", { env_file = w.file, extra_params = { "region" } })
  end },
  { "provider", function()
    keycycle.provider { name = "own", extends = "openai", base_url = "https://own.example/v1" }
  end },
  { "report", function(w)
    local out = { text = {} }
    function out:write(...) self.text[#self.text + 1] = table.concat { ... } end
    report.print(w.manager, { out = out, style = { terminal = true } })
    w.report = table.concat(out.text)
  end },
  { "stopped", function(w)
    w.manager = nil
    w.wrapper:stop()
    local lease, err = keycycle.try(function() return w.wrapper:get_manager "oomtest" end)
    if err.code ~= "closed" then error(err, 0) end
    assert(lease == nil)
  end },
  check = function(w)
    os.remove(w.file)
    assert(#w.keys == 2 and w.keys[2].params.region == "us" and w.keys[2].api_key:find "002$")
    assert(select(2, w.report:gsub("\n", "\n")) == 4, w.report)
  end,
}
