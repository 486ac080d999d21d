local keycycle = require "keycycle"

local A, B = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"

-- How a verdict's time and scope reach the pool.
describe("a key whose quota is spent", function()
  local wrapper, clock
  before_each(function()
    clock = keycycle.clock.manual(1000000)
    wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  end)
  after_each(function() wrapper:stop() end)

  local function register(name)
    wrapper:register_provider(name, { keys = { A, B } })
    return wrapper:get_manager(name)
  end

  local day = keycycle.json.encode { error = { code = 429, status = "RESOURCE_EXHAUSTED",
    message = "Quota exceeded. Please retry in 8.5s.", details = { { violations = {
      { quotaId = "GenerateRequestsPerDayPerProjectPerModel-FreeTier" } } } } } }

  it("stays away until its day is over, though a few seconds are stated", function()
    local manager = register "gemini"
    local lease = manager:get_specific_key(1, "m")
    local verdict = lease:fail { status = 429, headers = {}, body = day }
    assert.same({ "quota", "day", 8.5 }, { verdict.kind, verdict.window, verdict.retry_after })
    local expected = math.max(verdict.reset_after, 8.5)
    local key
    for _, line in ipairs(manager:explain "m") do
      if line.index == 1 then key = line end
    end
    assert.near(1000000 + expected, key.until_at, 0.01)
  end)

  it("is away for that model only, where the quota is one of a model", function()
    local manager = register "gemini"
    manager:get_specific_key(1, "m"):fail { status = 429, headers = {}, body = day }
    assert.equal(2, manager:get_key("m").index)
    assert.equal(1, manager:get_specific_key(1, "other").index)
  end)

  it("is away for all models, where the quota is one of its group", function()
    local manager = register "cohere"
    manager:get_specific_key(1, "m"):fail { status = 429, headers = {},
      body = '{"message":"limited to 1000 API calls / month"}' }
    assert.is_nil((manager:get_specific_key(1, "other")))
    assert.equal(2, manager:get_key("other").index)
  end)
end)
