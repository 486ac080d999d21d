--- The guide's policy: what passes by itself is waited out on the same key, a spent
--- quota rotates, a dead key is taken out, all else fails at once.
local TRIES_A_KEY = 3     -- times a key is tried again while others are ready
local TRIES_UNREACHED = 2 -- times that no server at all is tried again
local WORTH_A_WAIT = 10   -- seconds: for longer another key is better
local LONGEST_WAIT = 60   -- seconds: who is told to wait longer wants to know it

local passing = { temporary = true, overloaded = true, server = true }

-- What the provider asked for, and on top a pause that grows by the try, half of it
-- by chance: those who failed together must not come back together.
local function pause(failure)
  local most = math.min(20, 0.25 * 2 ^ (failure.key_attempt - 1))
  return (failure.retry_after or 0) + most * (1 + math.random()) / 2
end

return keycycle.policy {
  name = "default",
  max_retries = 5,
  decide = function(failure)
    local kind, asked = failure.kind, failure.retry_after or 0
    local blameless = failure.scope == "provider" -- another key would not help
    local others = failure.keys_ready ~= 0
    if kind == "auth" or kind == "payment" then return "disable" end
    if kind == "quota" and not blameless then return "rotate" end
    if kind == "permission_region" and failure.scope == "key" and others then return "rotate" end
    if kind == "temporary" and others and not blameless then
      local most = math.min(WORTH_A_WAIT, failure.remaining or WORTH_A_WAIT)
      if failure.key_attempt > TRIES_A_KEY or asked > most then return "rotate" end
    end
    if not passing[kind] and kind ~= "quota" or asked > LONGEST_WAIT then return "fail" end
    if not failure.status and failure.attempt > TRIES_UNREACHED then return "fail" end
    return "retry", pause(failure)
  end,
}
