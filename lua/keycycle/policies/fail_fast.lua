--- Fail fast: never waits. Another key is tried where that may help and one is ready;
--- all else fails at once. (`wait = false` keeps the first choice of a key from
--- waiting, too.)
local of_key = { quota = "rotate", auth = "disable", payment = "disable" }

return keycycle.policy {
  name = "fail_fast",
  decide = function(failure)
    local action = of_key[failure.kind] or "fail"
    -- A dead key is taken out even if it is the last one.
    if action == "rotate" and (failure.keys_ready == 0 or failure.scope == "provider") then
      return "fail"
    end
    return action
  end,
}
