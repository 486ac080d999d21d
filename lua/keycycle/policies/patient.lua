--- Patient: waits short limits out on the same key, and long for a provider that is
--- overloaded. For jobs that nobody watches.
local SHORT = 10    -- seconds that are waited for although another key is ready
local LONGEST = 600 -- seconds that are waited for where nothing else is left

local passing = { temporary = true, overloaded = true, server = true, quota = true }
local long_windows = { hour = true, day = true, month = true }

-- As the default's, but slower: what was asked for, and a growing, random pause.
local function pause(failure)
  local most = math.min(60, 2 ^ (failure.key_attempt - 1))
  return (failure.retry_after or 0) + most * (1 + math.random()) / 2
end

return keycycle.policy {
  name = "patient",
  max_retries = 12,
  decide = function(failure)
    local kind, asked = failure.kind, failure.retry_after or 0
    if kind == "auth" or kind == "payment" then return "disable" end
    if kind == "permission_region" and failure.scope == "key" and failure.keys_ready ~= 0 then
      return "rotate"
    end
    if not passing[kind] then return "fail" end
    if kind == "quota" and (not failure.retry_after or long_windows[failure.window]) then
      return "rotate"
    end
    local of_key = (kind == "quota" or kind == "temporary") and failure.scope ~= "provider"
    if of_key and asked > SHORT and failure.keys_ready ~= 0 then return "rotate" end
    if asked > LONGEST then return "fail" end
    return "retry", pause(failure)
  end,
}
