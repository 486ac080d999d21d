--- How long to wait before the next try.
--- Pure: it neither sleeps nor sends; the caller asks, then waits.
local backoff = {}

local methods = {}
local backoff_mt = { __name = "keycycle.backoff", __index = methods }

--- opts: base (seconds, 0.25), cap (seconds, 20), rng (a function like
--- math.random without arguments).
function backoff.new(opts)
  opts = opts or {}
  return setmetatable({
    base = opts.base or 0.25, cap = opts.cap or 20, rng = opts.rng or math.random,
  }, backoff_mt)
end

--- Seconds to wait after `tries` failures: what the provider asked for, and a pause on
--- top that grows up to the cap.
---@param tries integer
---@param retry_after? number
---@return number seconds
function methods:delay(tries, retry_after)
  local most = math.min(self.cap, self.base * 2 ^ (tries - 1))
  -- Half of it by chance: those who failed together must not come back together.
  return (retry_after or 0) + most * (1 + self.rng()) / 2
end

return backoff
