--- What the proofs' programs have in common: the keys, the limits, the wrapper.
local keycycle = require "keycycle"

local shop = {}

shop.KEYS = { "sk-proof-aaaaaaaaaaaaaaaa-1", "sk-proof-bbbbbbbbbbbbbbbb-2",
  "sk-proof-cccccccccccccccc-3" }

--- What a key of "tight" may do in a minute, for each model.
shop.REQUESTS, shop.TOKENS, shop.MINUTE = 20, 4000, 60

local NOWHERE = "http://127.0.0.1:1/v1"

--- A wrapper over the store, with "free" (no limits), "tight" (those above) and, where
--- `web` is the base_url of a mock, "web".
function shop.open(url, web)
  local wrapper = keycycle.MultiClientWrapper.new { db_url = url }
  wrapper:register_provider("free", { base_url = NOWHERE, keys = shop.KEYS })
  wrapper:register_provider("tight", { base_url = NOWHERE, keys = shop.KEYS, limits = {
    requests_per_minute = shop.REQUESTS, tokens_per_minute = shop.TOKENS } })
  if web ~= "-" then
    wrapper:register_provider("web", { base_url = web, keys = shop.KEYS, default_model = "web" })
  end
  return wrapper
end

--- Tells the parent at once: of a line that was written nothing is lost by a kill.
function shop.tell(fmt, ...)
  io.write(fmt:format(...), "\n")
end

return shop
