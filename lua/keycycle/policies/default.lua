--- The guide's policy: a short refusal is waited out on the same key, a spent
--- quota rotates, a dead key is taken out, all else fails at once.
local backoff = require "keycycle.backoff"
local policy = require "keycycle.policy"

local TRIES_A_KEY = 3
local TRIES_UNREACHED = 2 -- retries while no server answers at all
local LONGEST_WAIT = 60   -- seconds: who is told to wait longer wants to know it
local waits = backoff.new()

return policy.define {
  name = "default",
  max_retries = 5,
  decide = function(failure)
    local kind = failure.kind
    if kind == "temporary" or kind == "overloaded" or kind == "server" then
      if not failure.status and failure.attempt > TRIES_UNREACHED then return "fail" end
      if (failure.retry_after or 0) > LONGEST_WAIT then return "fail" end
      local wait = waits:delay(failure.key_attempt, failure.retry_after)
      -- Another key does not help an overloaded provider, but may help here.
      if failure.key_attempt > TRIES_A_KEY and kind == "temporary" then return "rotate" end
      return "retry", wait
    end
    if kind == "quota" then return "rotate" end
    if kind == "auth" or kind == "payment" then return "disable" end
    return "fail"
  end,
}
