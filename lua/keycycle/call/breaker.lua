--- Whether a provider is down, and who may look whether it is back.
---
--- Calls that run side by side would all go on asking a provider that cannot answer,
--- each with its own retries. After a few failures in a row the breaker opens: one call
--- at a time asks again, after pauses that grow, and the first answer lets all others
--- go. What a key did wrong is an answer. A caller alone is never held back: the pauses
--- of its policy are enough. Pure: it is told the time, in seconds.
local backoff = require "keycycle.backoff"

local breaker = {}

local FAILURES = 5     -- in a row open it
local APART = 30       -- seconds without one end the row
local LONGEST_ASKED = 60 -- seconds of pause that a provider's word may make
local PRECISION = 1e-6 -- seconds: of sums with the time since the epoch

local methods, pass_methods = {}, {}
local breaker_mt = { __name = "keycycle.breaker", __index = methods }
local pass_mt = { __name = "keycycle.breaker pass", __index = pass_methods }

--- opts: rng (a function like math.random without arguments), release (called
--- whenever those who were told to wait should ask again).
function breaker.new(opts)
  return setmetatable({
    waits = backoff.new { base = 0.5, cap = 10, rng = opts and opts.rng },
    release = opts and opts.release or function() end,
    calls = 0, -- under way, their pauses included
    failures = 0, crowded = false, last_at = 0, -- the row: were there two calls at once?
    rounds = 0, open_until = false, pause = 0, probe = false,
  }, breaker_mt)
end

--- A call begins. Its pass is to be closed when it has ended.
function methods:enter()
  local pass = setmetatable({ breaker = self, left = false }, pass_mt)
  self.calls = self.calls + 1 -- the last: what is not there never leaves
  return pass
end

--- Seconds until it may be worth asking, as far as is known.
function methods:retry_after(now)
  if not self.open_until then return 0 end
  return self.probe and self.pause or math.max(0, self.open_until - now)
end

--- Whether the call may make an attempt now; if not, the seconds until it should ask
--- again, nil where it is told by `release`.
---@param now number
---@param blind? boolean it cannot hear of `release`: it need not wait for another's attempt
---@return boolean go, number? seconds
function pass_methods:go(now, blind)
  local b = self.breaker
  if not b.open_until or b.probe == self then return true end
  local left = b.open_until - now
  if left > PRECISION then return false, left end
  if b.probe then return blind == true end
  b.probe = self
  return true
end

local function open(b, now, retry_after)
  b.rounds = b.rounds + 1
  b.pause = b.waits:delay(b.rounds, math.min(retry_after or 0, LONGEST_ASKED))
  b.open_until, b.probe = now + b.pause, false
  b.release()
  return b.pause
end

--- The attempt failed for a fault of the provider's.
---@param now number
---@param retry_after? number what the provider asked for
---@return number? seconds of pause for all calls, when this made it open (again)
function pass_methods:failed(now, retry_after)
  local b = self.breaker
  if b.open_until then
    -- Those that were under way when it opened tell nothing new.
    return b.probe == self and open(b, now, retry_after) or nil
  end
  if now - b.last_at > APART then b.failures, b.crowded = 0, false end
  b.failures, b.last_at = b.failures + 1, now
  b.crowded = b.crowded or b.calls > 1
  return b.failures >= FAILURES and b.crowded and open(b, now, retry_after) or nil
end

--- The provider answered, if only with a refusal. Returns whether it was down.
function pass_methods:worked()
  local b = self.breaker
  local was_open = b.open_until ~= false
  b.failures, b.crowded, b.rounds, b.open_until, b.probe = 0, false, 0, false, false
  if was_open then b.release() end
  return was_open
end

--- The attempt ended without telling anything of the provider.
function pass_methods:gave_up()
  local b = self.breaker
  if b.probe ~= self then return end
  b.probe = false
  b.release()
end

--- The call has ended. Idempotent.
function pass_methods:close()
  if self.left then return end
  self.left = true
  self.breaker.calls = self.breaker.calls - 1
  self:gave_up()
end

pass_mt.__close = pass_methods.close

return breaker
