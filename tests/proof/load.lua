--- Makes calls until it is killed, and tells each one (calls.lua). usage: keycycle load.lua
--- STORE WEB ROUND SEED MODELS CALLS, where WEB is a mock's base_url or "-"; after so many
--- CALLS it says "idle" and only lives.
local keycycle = require "keycycle"
local proc = require "tests.support.proc"
local calls = require "tests.proof.calls"
local shop = require "tests.proof.shop"

local MOST_HELD, PAUSE, LIFE = 12, 0.001, 60 -- calls; seconds

local url, web, round, seed, models, most = table.unpack(arg)
math.randomseed(math.tointeger(seed), math.tointeger(round))
models, most = math.tointeger(models), math.tointeger(most)
io.stdout:setvbuf "no"

local wrapper <close> = shop.open(url, web)
local held = {}

local function end_one()
  local call = table.remove(held, math.random(#held))
  local dice = math.random()
  if dice < 0.1 then
    calls.settle(call, "never", 0)
  elseif dice < 0.2 then
    calls.settle(call, "sent", call.tokens)
  else
    calls.settle(call, "commit", math.random(call.tokens))
  end
end

-- Whole calls over the transport, one after the other.
local function browse()
  local client = wrapper:get_rotating_client "web"
  for n = 1, most do
    shop.tell("w %d", n)
    local answer = client.chat.completions:create { messages = {
      { role = "user", content = ("word "):rep(math.random(20)) } } }
    shop.tell("W %d %d %.6f", n, answer.usage.total_tokens, proc.wall())
  end
end

local function call_one()
  local provider, model = "free", "m" .. math.random(models)
  if math.random() < 0.2 then provider, model = "tight", "t" .. round end
  held[#held + 1] = calls.acquire(wrapper, provider, model, math.random(400))
  if #held == MOST_HELD or #held > 0 and math.random() < 0.9 then end_one() end
end

if web ~= "-" then keycycle.spawn(browse) end
local dies, made = proc.mono() + LIFE, 0
repeat
  if made < most then call_one() end
  made = made + 1
  if made == most then shop.tell "idle" end
  keycycle.step(0)
  proc.sleep(math.random() * PAUSE)
until proc.mono() > dies
