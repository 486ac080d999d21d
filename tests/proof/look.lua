--- What a store remembers, as a new process sees it: a line `s` for each key and model, then
--- calls (calls.lua) of limited models until there is no room, then a clean end. usage:
--- keycycle look.lua STORE WEB MODELS ROUNDS [TIGHT,…], where MODELS is how many "free" has,
--- ROUNDS how many "tight", and TIGHT are the latter that are called.
local calls = require "tests.proof.calls"
local shop = require "tests.proof.shop"

local url, web, models, rounds, tight = table.unpack(arg)
io.stdout:setvbuf "full" -- it is not killed

local function show(wrapper, provider, model)
  local manager = wrapper:get_manager(provider)
  for key = 1, #shop.KEYS do
    local s = manager:get_granular_stats(key, model).snapshot
    shop.tell("s %s %d %s %d %d %d %d %d", provider, key, model, s.total_requests,
      s.total_tokens, s.in_flight, s.rpm, s.tpm)
  end
end

do
  local wrapper <close> = shop.open(url, web)
  for i = 1, math.tointeger(models) do show(wrapper, "free", "m" .. i) end
  for i = 1, math.tointeger(rounds) do show(wrapper, "tight", "t" .. i) end
  if web ~= "-" then show(wrapper, "web", "web") end
  shop.tell "seen"
  for model in (tight or ""):gmatch "[^,]+" do
    repeat
      local call = calls.acquire(wrapper, "tight", model, 1)
      if call then calls.settle(call, "commit", 1) end
    until not call
  end
end
shop.tell "end"
