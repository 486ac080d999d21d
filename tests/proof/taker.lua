--- One of several processes that share a store and its keys (processes.lua): calls a mock
--- as often as the limits let it. usage: keycycle taker.lua STORE MOCK LIMIT SECONDS TASKS
--- NAME, where LIMIT is requests a minute and key, TASKS how many calls it has under way, NAME
--- what it calls itself to the mock. Says "ready", is told "go"; says "made CALLS FAILED
--- CPU_SECONDS", is told how many requests all of them have made, says "sees REQUESTS
--- SECONDS" once it sees as many, or what it sees then.
local keycycle = require "keycycle"
local proc = require "tests.support.proc"
local shop = require "tests.proof.shop"

local PATIENCE, STEP = 15, 0.02 -- seconds

local url, mock, limit, seconds, tasks, name = table.unpack(arg)
io.stdout:setvbuf "line"

local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = url }
wrapper:register_provider("web", { base_url = mock, keys = shop.KEYS, default_model = "web",
  headers = { ["user-agent"] = name }, limits = { requests_per_minute = math.tointeger(limit) } })
local client = wrapper:get_rotating_client "web"

-- Lives while nothing is said: it hears of the others, and they of it.
local function hear()
  repeat
    keycycle.step(STEP)
    local word = proc.read(0, 0)
    if word and word ~= "" then return word end
  until not word
  os.exit(1)
end

local made, failed = 0, 0
local function take(until_)
  while proc.mono() < until_ do
    local ok, err = pcall(client.chat.completions.create, client.chat.completions, {
      messages = { { role = "user", content = "hi" } } }, { timeout = until_ - proc.mono() })
    if ok then
      made = made + 1
    elseif keycycle.is(err, keycycle.NoAvailableKeyError) then
      return -- none will be free before the end
    else
      failed = failed + 1
    end
  end
end

shop.tell "ready"
hear()
local cpu = os.clock()
local until_ = proc.mono() + tonumber(seconds)
keycycle.run(function()
  for _ = 1, math.tointeger(tasks) do keycycle.spawn(take, until_) end
end)
shop.tell("made %d %d %.2f", made, failed, os.clock() - cpu)

local want, asked = tonumber(hear()), proc.mono()
local manager = wrapper:get_manager "web"
local function sees() return manager:get_global_stats().total.total_requests end
while sees() ~= want and proc.mono() - asked < PATIENCE do keycycle.step(STEP) end
shop.tell("sees %d %.2f", sees(), proc.mono() - asked)
hear()
